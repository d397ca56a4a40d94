// The time mixing of RWKV-5 "Eagle" (Peng et al. 2024): a matrix-valued state that decays by fixed
// factors. 5.1 and 5.2 differ in the shapes of decay and bonus only, which are one here.
#include <algorithm>

#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"

namespace skein {
namespace {

// Heads of the released size, 64, are divided by 8 before a norm with epsilon 1e-5, which is 64e-5
// without the division; heads of 8 have 1e-5 (rwkv.cpp's small model says so).
float epsilon_for(std::size_t head_size) {
  const float divisor = static_cast<float>(head_size) / 8;
  return 1e-5F * divisor * divisor;
}

}  // namespace

void time_mix(LayerPass& pass, const TimeMix5& att, const TimeMixing& layer) {
  Workspace& work = pass.work;
  pass.multiply(att.receptance, pass.mix(layer.shifted, att.x_r), work.r);
  pass.multiply(att.key, pass.mix(layer.shifted, att.x_k), work.k);
  pass.multiply(att.value, pass.mix(layer.shifted, att.x_v), work.v);
  const bool gated = !att.x_g.empty();
  if (gated) {
    pass.multiply(att.gate, pass.mix(layer.shifted, att.x_g), work.g);
    silu_all(work.g);
  }
  std::ranges::copy(att.decay, work.w.begin());
  const float epsilon = epsilon_for(work.r.size() / work.decay_heads.size());
  attend(pass, {att.bonus, att.ln_x, att.output, epsilon, gated}, layer);
}

std::size_t largest_rank(const TimeMix5&) { return 0; }

}  // namespace skein
