// The time mixing of RWKV-6 "Finch" (Peng et al. 2024): RWKV-5 with token-shift mixes and a decay
// that depend on the token, through LoRAs.
#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/neurons.h"

namespace skein {
namespace {

enum Mixed : std::size_t { kW, kK, kV, kR, kG };  // in the order of the stacked matrices

// work.low_g = tanh(down x_x): five vectors a row, one after another.
void find_mixes(LayerPass& pass, const TimeMix6& att) {
  Workspace& work = pass.work;
  pass.mix({{att.x_x, work.in_x, att.mix_down}});
  pass.multiply({{att.mix_down, work.in_x, work.low_g}});
  pass.for_rows([&](std::uint32_t i) { tanh_all(work.low_g.row(i)); });
}

// Token shift by mix_i + up_i low_i.
void mix(LayerPass& pass, const TimeMix6& att, Mixed part, InputBuffer& to, const Matrix& reader) {
  Workspace& work = pass.work;
  const std::uint32_t rank = att.mix_up[part].rows.rows();
  const std::uint32_t width = work.normed.width();
  work.mu.shape(pass.rows(), width);
  to.shape(pass.rows(), width);
  pass.for_rows([&](std::uint32_t i) {
    const View low = View(work.low_g.row(i)).subspan(part * rank, rank);
    const Span mu = work.mu.row(i);
    SerialParallel alone;
    neuron_matmul({att.mix_up[part].view(), low.data(), mu.data(), 1}, alone);
    add_to(mu, att.mix[part]);
    shift_mix(work.normed.row(i), View(work.previous[i], width), mu, to.row(i));
    if (reader.is_quantized()) to.quantize(i);
  });
}

}  // namespace

void time_mix(LayerPass& pass, const TimeMix6& att, const TimeMixing& mixing) {
  Workspace& work = pass.work;
  find_mixes(pass, att);
  mix(pass, att, kK, work.in_k, att.key);
  mix(pass, att, kV, work.in_v, att.value);
  mix(pass, att, kR, work.in_r, att.receptance);
  mix(pass, att, kG, work.in_g, att.gate);
  mix(pass, att, kW, work.in_w, att.decay.down);
  pass.multiply({{att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 {att.receptance, work.in_r, work.r},
                 {att.gate, work.in_g, work.g},
                 {att.decay.down, work.in_w, work.low_w}});
  work.low_w.make_room_for_codes();
  pass.for_rows([&](std::uint32_t i) {
    tanh_all(work.low_w.row(i));
    if (att.decay.up.is_quantized()) work.low_w.quantize(i);
    silu_all(work.g.row(i));
  });
  pass.multiply({{att.decay.up, work.low_w, work.w}});
  pass.for_rows([&](std::uint32_t i) {
    add_to(work.w.row(i), att.decay.bias);
    exp_decay_all(work.w.row(i));
  });
  attend(pass, {att.bonus, att.ln_x, att.output}, mixing);
}

}  // namespace skein
