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
  const Factors& by_r = att.receptance_factors;
  const Factors& by_k = att.key_factors;
  const Factors& by_v = att.value_factors;
  const Factors& by_g = att.gate_factors;
  pass.mix({{att.x_r, work.in_r, reader_of({&att.receptance, &by_r.right})},
            {att.x_k, work.in_k, reader_of({&att.key, &by_k.right})},
            {att.x_v, work.in_v, reader_of({&att.value, &by_v.right})}});
  if (gated) pass.mix({{att.x_g, work.in_g, reader_of({&att.gate, &by_g.right})}});
  pass.multiply({{att.receptance, work.in_r, work.r},
                 {att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 {att.gate, work.in_g, work.g},
                 first_factor(by_r, work.in_r, work.by_r),
                 first_factor(by_k, work.in_k, work.by_k),
                 first_factor(by_v, work.in_v, work.by_v),
                 first_factor(by_g, work.in_g, work.by_g)});
  pass.multiply({second_factor(by_r, att.receptance, work.by_r, work.r),
                 second_factor(by_k, att.key, work.by_k, work.k),
                 second_factor(by_v, att.value, work.by_v, work.v),
                 second_factor(by_g, att.gate, work.by_g, work.g)});
  const ModelConfig& config = pass.sequences[0].state->config();
  work.w.shape(pass.rows(), config.width);
  pass.for_rows([&](std::uint32_t i) {
    if (gated) silu_all(work.g.row(i));
    std::ranges::copy(att.decay, work.w.row(i).begin());
  });
  attend(pass, {att.bonus, att.ln_x, att, epsilon_for(config.head_size), gated}, mixing);
}

}  // namespace skein
