// The time mixing of RWKV-6 "Finch" (Peng et al. 2024): RWKV-5 with token-shift mixes and a decay
// that depend on the token, through LoRAs.
#include <algorithm>

#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"

namespace skein {
namespace {

enum Mixed : std::size_t { kW, kK, kV, kR, kG };  // in the order of the stacked matrices

// work.low = tanh(down x_x): five vectors, one after another.
void find_mixes(LayerPass& pass, const TimeMix6& att, const Shifted& shifted) {
  const Span low = Span(pass.work.low).first(att.mix_down.rows());
  pass.multiply(att.mix_down, pass.mix(shifted, att.x_x), low);
  tanh_all(low);
}

// Token shift by mix_i + up_i low_i.
View mix(LayerPass& pass, const TimeMix6& att, const Shifted& shifted, Mixed i) {
  Workspace& work = pass.work;
  const std::size_t rank = att.mix_up[i].rows();
  const Span mu = work.a;
  sparse_accumulate(att.mix_up[i].view(), View(work.low).subspan(i * rank, rank), work.active, mu,
                    pass.parallel);
  add_to(mu, att.mix[i]);
  return pass.mix(shifted, mu);
}

}  // namespace

void time_mix(LayerPass& pass, const TimeMix6& att, const TimeMixing& layer) {
  Workspace& work = pass.work;
  find_mixes(pass, att, layer.shifted);
  pass.multiply(att.key, mix(pass, att, layer.shifted, kK), work.k);
  pass.multiply(att.value, mix(pass, att, layer.shifted, kV), work.v);
  pass.multiply(att.receptance, mix(pass, att, layer.shifted, kR), work.r);
  pass.multiply(att.gate, mix(pass, att, layer.shifted, kG), work.g);
  silu_all(work.g);
  pass.lora(att.decay, mix(pass, att, layer.shifted, kW), tanh_all, work.w);  // last: it uses low
  exp_decay_all(work.w);
  attend(pass, {att.bonus, att.ln_x, att.output}, layer);
}

std::size_t largest_rank(const TimeMix6& att) {
  return std::max(att.mix_down.rows(), att.decay.down.rows());
}

}  // namespace skein
