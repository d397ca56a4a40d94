// Blocks of neurons (kernels/ops/neurons.h) in quantized formats: the rows behind non-zeros, times
// their h. Included once per instruction set; see vector_kernels.h.
//
// Every scale * h becomes a 15-bit multiplier, which is split into two int8 parts (m = 128 * high +
// low) for the byte products; their sums are exact, so no order matters. Work goes by spans of 16
// groups: first the span's multipliers of all rows, then, a register of outputs at a time, all rows
// with the sums in registers. Meanwhile the rows of the next block are fetched, line by line: they
// lie scattered, and a burst of fetches would stall where a trickle does not.
#pragma once

#include "kernels/isa/internal/row_format.h"
#include "kernels/isa/kernel_table.h"

namespace skein {
namespace {

constexpr std::size_t kMostNeurons = 256;
constexpr float kMultiplierSteps = 16256;  // 127 * 128: both parts fit an int8 that is not -128

// A block's rows, padded to whole fours with rows times nothing.
struct BlockRows {
  const char* rows[kMostNeurons + 3];
  float factors[kMostNeurons + 3];  // multiplier steps per unit of scale
  std::size_t count;
  std::size_t groups;  // of a row
};

// A span's multipliers, four rows a word, and what each group's zero points come to.
struct SpanMultipliers {
  std::int32_t low[kMostNeurons / 4][kLanes];
  std::int32_t high[kMostNeurons / 4][kLanes];
  std::int32_t zeros[kLanes];  // sum of multiplier * zero point
};

// Walks the rows that will be wanted next, a cache line at a time.
class Fetcher {
 public:
  SKEIN_INLINE Fetcher(const NeuronRows& neurons, std::size_t steps)
      : row_(neurons.soon),
        end_(neurons.soon + neurons.soon_count),
        ranges_(neurons.soon_ranges),
        at_(ranges_[0].from) {
    const std::size_t bytes = ranges_[0].bytes + ranges_[1].bytes;
    each_ = steps == 0 ? 0 : (bytes / 64 + 2) * neurons.soon_count / steps + 1;
  }
  SKEIN_INLINE void step() {
    for (std::size_t i = 0; i < each_ && row_ != end_; ++i) {
      __builtin_prefetch(text(*row_) + at_, 0, 2);  // not into the first level: it is not its turn
      at_ += 64;
      if (at_ >= ranges_[range_].from + ranges_[range_].bytes) next_range();
    }
  }

 private:
  SKEIN_INLINE void next_range() {
    range_ = range_ == 0 && ranges_[1].bytes != 0 ? 1 : 0;
    row_ += range_ == 0 ? 1 : 0;
    at_ = ranges_[range_].from;
  }

  const std::byte* const* row_;
  const std::byte* const* end_;
  const NeuronRows::Range* ranges_;
  std::size_t range_ = 0;
  std::size_t at_;
  std::size_t each_;
};

// Integers of steps, at most kMultiplierSteps in magnitude.
SKEIN_INLINE I32 multipliers(F32 steps) { return between(rounded(steps), -16256, 16256); }

// Groups [group, group + 16) of the rows, as far as there are any.
template <unsigned bits, bool kWhole>
SKEIN_INLINE void find_multipliers(const BlockRows& block, std::size_t group,
                                   SpanMultipliers& out) {
  using Format = RowFormat<bits>;
  const std::size_t at = Format::scales_at(block.groups) + group * 2;
  const std::size_t present = block.groups - group;
  I32 zeros = {};
  for (std::size_t i = 0; i < block.count; i += 4) {
    U32 low = {};
    U32 high = {};
#pragma clang loop unroll(full)
    for (std::size_t k = 0; k < 4; ++k) {
      const typename Format::template Scales<kWhole> row(block.rows[i + k] + at, present);
      const I32 m = multipliers(row.values * block.factors[i + k]);
      zeros += times_small(row.zeros, m);
      low |= (as<U32>(m) & 127U) << static_cast<unsigned>(8 * k);
      high |= (as<U32>(m >> 7) & 255U) << static_cast<unsigned>(8 * k);
    }
    store(out.low[i / 4], low);
    store(out.high[i / 4], high);
  }
  store(out.zeros, zeros);
}

using FloatSums = float __attribute__((vector_size(kCodeBytes)));

// y += the sums of one part: quads[k]'s lane l holds outputs 4 k to 4 k + 3 of that lane.
template <unsigned bits>
SKEIN_INLINE void add_part(const Sums low[4], const Sums high[4], Sums zeros, float step,
                           std::size_t part, float* y, std::size_t outputs) {
  float shares[4][kCodeBytes / 4];
#pragma clang loop unroll(full)
  for (std::size_t k = 0; k < 4; ++k) {
    const Sums total = ((high[k] * 128 + low[k]) << RowFormat<bits>::kShift) - zeros;
    store(shares[k], __builtin_convertvector(total, FloatSums) * step);
  }
  for (std::size_t lane = 0; lane < kCodeLanes; ++lane) {
    const std::size_t first = (lane * RowFormat<bits>::kParts + part) * kLanes;
    if (first >= outputs) return;
    const F32 share = joined(load<F32x4>(shares[0] + lane * 4), load<F32x4>(shares[1] + lane * 4),
                             load<F32x4>(shares[2] + lane * 4), load<F32x4>(shares[3] + lane * 4));
    if (outputs - first >= kLanes) {
      store(y + first, load<F32>(y + first) + share);
      continue;
    }
    for (std::size_t j = 0; first + j < outputs; ++j) y[first + j] += share[j];
  }
}

// Parts [first, first + parts) of the outputs of one register of codes, which holds groups from
// `group` on; `at` is their place in the span.
template <unsigned bits, std::size_t first, std::size_t parts, bool kWhole>
SKEIN_INLINE void add_register(const BlockRows& block, std::size_t group, std::size_t at,
                               const SpanMultipliers& m, float step, Fetcher& fetcher, float* y,
                               std::size_t outputs) {
  using Format = RowFormat<bits>;
  Sums low[parts][4] = {};
  Sums high[parts][4] = {};
  for (std::size_t i = 0; i < block.count; i += 4) {
    fetcher.step();
    Codes quads[parts][4];
    Format::template quads<first, parts, kWhole>(block.rows + i, block.groups, group, quads);
    const Sums low_words = spread_words<Format::kLanesEach>(m.low[i / 4] + at);
    const Sums high_words = spread_words<Format::kLanesEach>(m.high[i / 4] + at);
#pragma clang loop unroll(full)
    for (std::size_t part = 0; part < parts; ++part) {
#pragma clang loop unroll(full)
      for (std::size_t k = 0; k < 4; ++k) {
        low[part][k] = dot_lanes<Format::kSigned>(low[part][k], quads[part][k], low_words);
        high[part][k] = dot_lanes<Format::kSigned>(high[part][k], quads[part][k], high_words);
      }
    }
  }
  const Sums zeros = spread_words<Format::kLanesEach>(m.zeros + at);
#pragma clang loop unroll(full)
  for (std::size_t part = 0; part < parts; ++part) {
    add_part<bits>(low[part], high[part], zeros, step, first + part, y, outputs);
  }
}

// One register's outputs, in as many goes as the sums fit the registers.
template <unsigned bits, bool kWhole>
SKEIN_INLINE void add_outputs(const BlockRows& block, std::size_t group, std::size_t at,
                              const SpanMultipliers& m, float step, Fetcher& fetcher, float* y,
                              std::size_t outputs) {
  constexpr std::size_t kParts = RowFormat<bits>::kParts;
  if constexpr (kParts <= kPartsAtOnce) {
    add_register<bits, 0, kParts, kWhole>(block, group, at, m, step, fetcher, y, outputs);
  } else {
    add_register<bits, 0, 1, kWhole>(block, group, at, m, step, fetcher, y, outputs);
    add_register<bits, 1, 1, kWhole>(block, group, at, m, step, fetcher, y, outputs);
  }
}

template <unsigned bits>
void add_grouped_neurons(const NeuronRows& neurons, float* y) {
  using Format = RowFormat<bits>;
  BlockRows block;
  block.count = neurons.count;
  block.groups = (neurons.row_cols + std::size_t{31}) / 32;
  const float quotient = kMultiplierSteps / neurons.largest;
  const float inverse = quotient < __builtin_inff() ? quotient : 0.0F;
  for (std::size_t i = 0; i < neurons.count + 3; ++i) {
    const bool there = i < neurons.count;
    block.rows[i] = text(neurons.rows[there ? i : 0]);
    block.factors[i] = there ? neurons.h[i] * inverse : 0.0F;
  }
  const float step = neurons.largest / kMultiplierSteps;
  constexpr std::size_t kRegister = Format::kGroups * 32;  // outputs
  constexpr std::size_t kGoes = Format::kParts <= kPartsAtOnce ? 1 : 2;
  const std::size_t registers = (neurons.cols + kRegister - 1) / kRegister;
  Fetcher fetcher(neurons, registers * ((neurons.count + 3) / 4) * kGoes);
  SpanMultipliers m;
  for (std::size_t done = 0; done < neurons.cols; done += kRegister) {
    const std::size_t at = done / 32 % kLanes;
    const std::size_t group = (neurons.first_col + done) / 32;
    const std::size_t present = block.groups - group;
    if (at == 0 && present >= kLanes) find_multipliers<bits, true>(block, group, m);
    if (at == 0 && present < kLanes) find_multipliers<bits, false>(block, group, m);
    float* const out = y + done;
    const std::size_t outputs = neurons.cols - done;
    if (present >= Format::kGroups) {
      add_outputs<bits, true>(block, group, at, m, step, fetcher, out, outputs);
    } else {
      add_outputs<bits, false>(block, group, at, m, step, fetcher, out, outputs);
    }
  }
}

}  // namespace
}  // namespace skein
