// The time mixing of RWKV-4 (Peng et al. 2023): an average of values over time, per channel.
#include <algorithm>

#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/wkv.h"

namespace skein {
namespace {

constexpr std::size_t kChannelsPerTask = 256;

// Some channels of all rows, token after token of each sequence.
void average(LayerPass& pass, const TimeMix4& att, LayerIndex layer, std::size_t first) {
  Workspace& work = pass.work;
  const std::size_t width = work.k.width();
  const std::size_t count = std::min(kChannelsPerTask, width - first);
  const auto of = [&](auto&& all) { return all.subspan(first, count); };
  std::uint32_t row = 0;
  for (const SequenceRows& sequence : pass.sequences) {
    const Span state = sequence.state->wkv(layer);
    for (const std::uint32_t end = row + sequence.rows; row < end; ++row) {
      channel_wkv({.numerator = of(state.first(width)),
                   .denominator = of(state.subspan(width, width)),
                   .exponent = of(state.last(width)),
                   .k = of(work.k.row(row)),
                   .v = of(work.v.row(row)),
                   .w = of(View(att.decay)),
                   .u = of(View(att.first)),
                   .y = of(work.in_o.row(row))});
    }
  }
}

}  // namespace

void time_mix(LayerPass& pass, const TimeMix4& att, const TimeMixing& mixing) {
  Workspace& work = pass.work;
  const Factors& by_r = att.receptance_factors;
  const Factors& by_k = att.key_factors;
  const Factors& by_v = att.value_factors;
  pass.mix({{att.x_r, work.in_r, reader_of({&att.receptance, &by_r.right})},
            {att.x_k, work.in_k, reader_of({&att.key, &by_k.right})},
            {att.x_v, work.in_v, reader_of({&att.value, &by_v.right})}});
  pass.multiply({{att.receptance, work.in_r, work.r},
                 {att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 first_factor(by_r, work.in_r, work.by_r),
                 first_factor(by_k, work.in_k, work.by_k),
                 first_factor(by_v, work.in_v, work.by_v)});
  pass.multiply({second_factor(by_r, att.receptance, work.by_r, work.r),
                 second_factor(by_k, att.key, work.by_k, work.k),
                 second_factor(by_v, att.value, work.by_v, work.v)});
  const std::uint32_t width = work.k.width();
  work.in_o.shape(pass.rows(), width);
  pass.for_tasks((width + kChannelsPerTask - 1) / kChannelsPerTask, [&](std::uint32_t task) {
    average(pass, att, mixing.layer, task * kChannelsPerTask);
  });
  pass.for_rows([&](std::uint32_t i) {
    const Span r = work.r.row(i), y = work.in_o.row(i);
    sigmoid_all(r);
    for (std::size_t j = 0; j < y.size(); ++j) y[j] *= r[j];
    if (att.reads_codes_of_heads()) work.in_o.quantize(i);
  });
  pass.add_output(att, mixing.x);
}

}  // namespace skein
