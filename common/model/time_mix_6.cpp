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
  const Factors& by_r = att.receptance_factors;
  const Factors& by_k = att.key_factors;
  const Factors& by_v = att.value_factors;
  const Factors& by_g = att.gate_factors;
  mix(pass, att, kK, work.in_k, reader_of({&att.key, &by_k.right}));
  mix(pass, att, kV, work.in_v, reader_of({&att.value, &by_v.right}));
  mix(pass, att, kR, work.in_r, reader_of({&att.receptance, &by_r.right}));
  mix(pass, att, kG, work.in_g, reader_of({&att.gate, &by_g.right}));
  mix(pass, att, kW, work.in_w, att.decay.down);
  pass.multiply({{att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 {att.receptance, work.in_r, work.r},
                 {att.gate, work.in_g, work.g},
                 first_factor(by_r, work.in_r, work.by_r),
                 first_factor(by_k, work.in_k, work.by_k),
                 first_factor(by_v, work.in_v, work.by_v),
                 first_factor(by_g, work.in_g, work.by_g),
                 {att.decay.down, work.in_w, work.low_w}});
  work.low_w.make_room_for_codes();
  pass.for_rows([&](std::uint32_t i) {
    tanh_all(work.low_w.row(i));
    if (att.decay.up.is_quantized()) work.low_w.quantize(i);
  });
  pass.multiply({{att.decay.up, work.low_w, work.w},
                 second_factor(by_r, att.receptance, work.by_r, work.r),
                 second_factor(by_k, att.key, work.by_k, work.k),
                 second_factor(by_v, att.value, work.by_v, work.v),
                 second_factor(by_g, att.gate, work.by_g, work.g)});
  pass.for_rows([&](std::uint32_t i) {
    silu_all(work.g.row(i));
    add_to(work.w.row(i), att.decay.bias);
    exp_decay_all(work.w.row(i));
  });
  attend(pass, {att.bonus, att.ln_x, att}, mixing);
}

}  // namespace skein
