// The time mixing of RWKV-4 (Peng et al. 2023): an average of values over time, per channel.
#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"

namespace skein {

void time_mix(LayerPass& pass, const TimeMix4& att, const TimeMixing& layer) {
  Workspace& work = pass.work;
  const Span r = work.r, k = work.k, v = work.v, y = work.y, out = work.out;
  pass.multiply(att.receptance, pass.mix(layer.shifted, att.x_r), r);
  pass.multiply(att.key, pass.mix(layer.shifted, att.x_k), k);
  pass.multiply(att.value, pass.mix(layer.shifted, att.x_v), v);
  sigmoid_all(r);
  const std::size_t width = r.size();
  channel_wkv({.numerator = layer.state.first(width),
               .denominator = layer.state.subspan(width, width),
               .exponent = layer.state.last(width),
               .k = k,
               .v = v,
               .w = att.decay,
               .u = att.first,
               .y = y});
  for (std::size_t i = 0; i < width; ++i) y[i] *= r[i];
  pass.multiply(att.output, y, out);
  add_to(layer.activation.x, out);
}

std::size_t largest_rank(const TimeMix4&) { return 0; }

}  // namespace skein
