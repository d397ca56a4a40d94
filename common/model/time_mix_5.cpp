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

void time_mix(LayerPass& pass, const TimeMix5& att, const TimeMixing& mixing) {
  Workspace& work = pass.work;
  const bool gated = !att.x_g.empty();
  pass.mix({{att.x_r, work.in_r, att.receptance},
            {att.x_k, work.in_k, att.key},
            {att.x_v, work.in_v, att.value}});
  if (gated) pass.mix({{att.x_g, work.in_g, att.gate}});
  pass.multiply({{att.receptance, work.in_r, work.r},
                 {att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 {att.gate, work.in_g, work.g}});
  const ModelConfig& config = pass.sequences[0].state->config();
  work.w.shape(pass.rows(), config.width);
  pass.for_rows([&](std::uint32_t i) {
    if (gated) silu_all(work.g.row(i));
    std::ranges::copy(att.decay, work.w.row(i).begin());
  });
  attend(pass, {att.bonus, att.ln_x, att.output, epsilon_for(config.head_size), gated}, mixing);
}

}  // namespace skein
