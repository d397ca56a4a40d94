// Blocks of neurons (kernels/ops/neurons.h) in quantized formats: the rows behind non-zeros, times
// their h. Included once per instruction set; see vector_kernels.h.
//
// Every h * scale becomes a 15-bit multiplier, which is split into two int8 parts (m = 128 * high +
// low) for the byte products; their sums are exact, so no order matters. Work goes by spans of
// outputs: first the span's multipliers, then, a register of outputs at a time, all rows.
#pragma once

#include "kernels/isa/internal/row_format.h"
#include "kernels/isa/kernel_table.h"

namespace skein {
namespace {

constexpr std::size_t kSpanGroups = 32;  // groups at a time: what the multipliers' scratch holds
constexpr std::size_t kMostNeurons = 256;
constexpr float kMultiplierSteps = 16256;  // 127 * 128: both parts fit an int8 that is not -128

// A span's multipliers, four rows a word, and what is known of each group.
struct SpanMultipliers {
  std::int32_t low[kMostNeurons / 4][kSpanGroups];
  std::int32_t high[kMostNeurons / 4][kSpanGroups];
  std::int32_t zeros[kSpanGroups];  // sum of multiplier * zero point
  std::int32_t steps[kSpanGroups];  // value of one multiplier step, a float's bits
};

// For 16 groups from `group` of the row on, `at` of the span; `count` of them are in the row.
template <unsigned bits>
SKEIN_INLINE void find_multipliers(const NeuronRows& neurons, const char* const* scales,
                                   std::size_t at, std::size_t count, SpanMultipliers& out) {
  using Scales = typename RowFormat<bits>::Scales;
  F32 largest = {};
  for (std::size_t i = 0; i < neurons.count; ++i) {
    largest = larger(largest, magnitude(Scales(scales[i], count).values * neurons.h[i]));
  }
  const F32 quotient = kMultiplierSteps / largest;
  const F32 inverse = quotient < F32{} + __builtin_inff() ? quotient : F32{};
  I32 zeros = {};
  for (std::size_t i = 0; i < neurons.count; i += 4) {
    U32 low = {};
    U32 high = {};
    for (std::size_t k = 0; k < 4 && i + k < neurons.count; ++k) {
      const Scales row(scales[i + k], count);
      const F32 steps = row.values * neurons.h[i + k] * inverse;
      const I32 m = rounded(steps == steps ? steps : F32{});
      zeros += times_small(row.zeros, m);
      low |= (as<U32>(m) & 127U) << static_cast<unsigned>(8 * k);
      high |= (as<U32>(m >> 7) & 255U) << static_cast<unsigned>(8 * k);
    }
    store(out.low[i / 4] + at, low);
    store(out.high[i / 4] + at, high);
  }
  store(out.zeros + at, zeros);
  store(out.steps + at, largest / kMultiplierSteps);
}

using FloatSums = float __attribute__((vector_size(kCodeBytes)));

// y += the sums of one part: quads[k]'s lane l holds outputs 4 k to 4 k + 3 of that lane.
template <unsigned bits>
SKEIN_INLINE void add_part(const Sums low[4], const Sums high[4], Sums zeros, FloatSums steps,
                           std::size_t part, float* y, std::size_t outputs) {
  float shares[4][kCodeBytes / 4];
  for (std::size_t k = 0; k < 4; ++k) {
    const Sums total = ((high[k] * 128 + low[k]) << RowFormat<bits>::kShift) - zeros;
    store(shares[k], __builtin_convertvector(total, FloatSums) * steps);
  }
  for (std::size_t lane = 0; lane < kCodeLanes; ++lane) {
    const std::size_t first = (lane * RowFormat<bits>::kParts + part) * kLanes;
    if (first >= outputs) return;
    float share[kLanes];
    for (std::size_t k = 0; k < 4; ++k) {
      __builtin_memcpy(share + k * 4, shares[k] + lane * 4, 4 * sizeof(float));
    }
    if (outputs - first >= kLanes) {
      store(y + first, load<F32>(y + first) + load<F32>(share));
      continue;
    }
    for (std::size_t j = 0; first + j < outputs; ++j) y[first + j] += share[j];
  }
}

// The outputs of one register of codes: `at` groups into the span.
template <unsigned bits>
void add_register(const char* const* rows, std::size_t count, std::size_t groups, std::size_t group,
                  std::size_t present, const SpanMultipliers& m, std::size_t at, float* y,
                  std::size_t outputs) {
  using Format = RowFormat<bits>;
  constexpr std::size_t kParts = Format::kParts;
  Sums low[kParts][4] = {};
  Sums high[kParts][4] = {};
  for (std::size_t i = 0; i < count; i += 4) {
    Codes quads[kParts][4];
    Format::quads(rows + i, groups, group, present, quads);
    const Sums low_words = spread_words<Format::kLanesEach>(m.low[i / 4] + at);
    const Sums high_words = spread_words<Format::kLanesEach>(m.high[i / 4] + at);
    for (std::size_t part = 0; part < kParts; ++part) {
      for (std::size_t k = 0; k < 4; ++k) {
        low[part][k] = dot_lanes<Format::kSigned>(low[part][k], quads[part][k], low_words);
        high[part][k] = dot_lanes<Format::kSigned>(high[part][k], quads[part][k], high_words);
      }
    }
  }
  const Sums zeros = spread_words<Format::kLanesEach>(m.zeros + at);
  const auto steps = as<FloatSums>(spread_words<Format::kLanesEach>(m.steps + at));
  for (std::size_t part = 0; part < kParts; ++part) {
    add_part<bits>(low[part], high[part], zeros, steps, part, y, outputs);
  }
}

template <unsigned bits>
void add_grouped_neurons(const NeuronRows& neurons, float* y) {
  using Format = RowFormat<bits>;
  const std::size_t groups = (neurons.row_cols + std::size_t{31}) / 32;
  const std::size_t first = neurons.first_col / 32;
  const std::size_t wanted = (neurons.cols + std::size_t{31}) / 32;
  const char* rows[kMostNeurons + 3];
  for (std::size_t i = 0; i < neurons.count; ++i) rows[i] = text(neurons.rows[i]);
  for (std::size_t i = neurons.count; i % 4 != 0; ++i) rows[i] = rows[0];  // times nothing
  for (std::size_t span = 0; span < wanted; span += kSpanGroups) {
    SpanMultipliers m;
    const std::size_t in_span = wanted - span < kSpanGroups ? wanted - span : kSpanGroups;
    for (std::size_t at = 0; at < in_span; at += kLanes) {
      const char* scales[kMostNeurons];
      const std::size_t group = first + span + at;
      for (std::size_t i = 0; i < neurons.count; ++i) {
        scales[i] = rows[i] + Format::scales_at(groups) + group * 2;
      }
      find_multipliers<bits>(neurons, scales, at, groups - group, m);
    }
    for (std::size_t at = 0; at < in_span; at += Format::kGroups) {
      const std::size_t group = first + span + at;
      const std::size_t done = (span + at) * 32;
      add_register<bits>(rows, neurons.count, groups, group, groups - group, m, at, y + done,
                         neurons.cols - done);
    }
  }
}

}  // namespace
}  // namespace skein
