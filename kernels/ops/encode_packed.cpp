// q6, q5, q4: every weight is rounded to the nearest point of its group's grid; the grid (scale and
// zero point) is the one of some dozens near the group's range with the least squared error.
#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/check.h"
#include "kernels/ops/internal/packed.h"

namespace skein {
namespace {

constexpr int kScalesBelow = 3;  // grids tried around the one that just spans the group's range
constexpr int kScalesAbove = 2;
constexpr int kZerosAside = 3;

using Weights = std::array<float, kGroup>;

struct Grid {
  std::uint32_t scale_code = 0;
  int zero = 0;
};
struct Group {
  Grid grid;
  std::array<std::uint8_t, kGroup> codes{};
};

// Round to nearest even of a value in [0, 2^22): adding 2^23 leaves the integer.
float rounded(float value) { return (value + 8388608.0F) - 8388608.0F; }
float clamped(float value, float most) {
  const float raised = value > 0 ? value : 0;
  return raised < most ? raised : most;
}

constexpr Weights kAlike = [] {
  Weights ones{};
  ones.fill(1);
  return ones;
}();

// Sum of squared differences, each times its importance, in steps of u; `scaled` are the weights in
// such steps.
float error_of(const Weights& scaled, const Weights& importance, float zero, float most) {
  std::array<float, 8> sums{};  // a fixed order that vectors can keep
  for (std::size_t first = 0; first < kGroup; first += sums.size()) {
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const float place = scaled[first + i] + zero;
      const float miss = rounded(clamped(place, most)) - place;
      sums[i] += miss * miss * importance[first + i];
    }
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

float step_of(const Grid& grid, unsigned bits) {
  return packed_scale(grid.scale_code) * static_cast<float>(packed_step(bits));
}

Weights in_steps(const Weights& weights, const Grid& grid, unsigned bits) {
  const float inverse = 1.0F / step_of(grid, bits);
  Weights scaled;
  for (std::size_t i = 0; i < kGroup; ++i) scaled[i] = weights[i] * inverse;
  return scaled;
}

Grid best_grid(const Weights& weights, const Weights& importance, unsigned bits) {
  const float low = std::min(0.0F, *std::ranges::min_element(weights));
  const float high = std::max(0.0F, *std::ranges::max_element(weights));
  if (!(high > low)) return {};  // zeros: all codes and the zero point 0
  const float most = static_cast<float>((1U << bits) - 1);
  const auto per_step = static_cast<float>(packed_step(bits));
  const float spanning = (high - low) / (most * per_step);
  const int middle =
      static_cast<int>(std::bit_cast<std::uint32_t>(spanning) >> 19) - (127 - 24) * 16;
  const int last = static_cast<int>(kPackedScales) - 1;
  const int from = std::clamp(middle - kScalesBelow, 0, last);
  const int to = std::clamp(middle + kScalesAbove, 0, last);
  Grid best;
  float least = -1;
  for (int scale = from; scale <= to; ++scale) {
    const Grid tried{static_cast<std::uint32_t>(scale), 0};
    const Weights scaled = in_steps(weights, tried, bits);
    const float step = step_of(tried, bits);
    const float centre = most / 2 - (low + high) / 2 / step;
    const int centred = static_cast<int>(rounded(clamped(centre * per_step, 127)));
    for (int aside = -kZerosAside; aside <= kZerosAside; ++aside) {
      const int zero = std::clamp(centred + aside, 0, 127);
      const float error =
          error_of(scaled, importance, static_cast<float>(zero) / per_step, most) * (step * step);
      if (least >= 0 && !(error < least)) continue;
      least = error;
      best = {tried.scale_code, zero};
    }
  }
  return best;
}

// Up to kGroup of them. What is beyond the largest scale saturates; a NaN becomes 0.
Weights in_range(std::span<const float> values) {
  const float largest = packed_scale(kPackedScales - 1) * 60;
  Weights weights{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == values[i]) weights[i] = std::clamp(values[i], -largest, largest);
  }
  return weights;
}

Group quantize_group(std::span<const float> values, unsigned bits) {
  const Weights weights = in_range(values);
  Group group;
  group.grid = best_grid(weights, kAlike, bits);
  const Weights scaled = in_steps(weights, group.grid, bits);
  const float zero = static_cast<float>(group.grid.zero) / static_cast<float>(packed_step(bits));
  for (std::size_t i = 0; i < kGroup; ++i) {
    const float place = clamped(scaled[i] + zero, static_cast<float>((1U << bits) - 1));
    group.codes[i] = static_cast<std::uint8_t>(rounded(place));
  }
  return group;
}

std::uint16_t head_of(const Grid& grid) {
  return static_cast<std::uint16_t>(grid.scale_code << 7 | static_cast<unsigned>(grid.zero));
}

}  // namespace

void encode_packed(const PackedShape& shape, std::span<const float> values, MutableByteView out) {
  std::ranges::fill(out, std::byte{0});
  for (std::size_t row = 0; row < shape.rows; ++row) {
    for (std::size_t first = 0; first < shape.cols; first += kGroup) {
      const std::size_t count = std::min<std::size_t>(kGroup, shape.cols - first);
      const Group group =
          quantize_group(values.subspan(row * shape.cols + first, count), shape.bits);
      const PackedGroup place(shape, row, first / kGroup);
      store_le(out, place.head_at(), head_of(group.grid));
      for (std::size_t i = 0; i < kGroup; ++i) place.put(out.data(), i, group.codes[i]);
    }
  }
}

void place_packed(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols,
                  std::span<const std::uint8_t> codes, std::span<const std::uint16_t> heads,
                  MutableByteView out) {
  CHECK(cols % kGroup == 0 && codes.size() == std::uint64_t{rows} * cols);
  CHECK(heads.size() * kGroup == codes.size());
  CHECK(out.size() == stored_bytes(format, layout, rows, cols));
  std::ranges::fill(out, std::byte{0});
  const PackedShape shape{packed_bits(format), layout, rows, cols};
  for (std::size_t group = 0; group < heads.size(); ++group) {
    const PackedGroup place(shape, group * kGroup / cols, group % (cols / kGroup));
    store_le(out, place.head_at(), heads[group]);
    for (std::size_t i = 0; i < kGroup; ++i) {
      place.put(out.data(), i, codes[group * kGroup + i]);
    }
  }
}

GroupGrid fit_grid(Format format, std::span<const float> weights,
                   std::span<const float> importance) {
  CHECK(is_quantized(format) && weights.size() == kGroup && importance.size() == kGroup);
  if (format == Format::kQ8) {
    float largest = 0;
    for (const float weight : weights) largest = std::max(largest, std::fabs(weight));
    const std::uint16_t scale = std::min<std::uint16_t>(narrow_f16(largest / 127.0F), 0x7BFF);
    return {.step = widen_f16(scale), .zero = 127, .most = 254, .head = scale};
  }
  const unsigned bits = packed_bits(format);
  Weights counts;
  std::ranges::copy(importance, counts.begin());
  const Grid grid = best_grid(in_range(weights), counts, bits);
  return {.step = step_of(grid, bits),
          .zero = static_cast<float>(grid.zero) / static_cast<float>(packed_step(bits)),
          .most = static_cast<float>((1U << bits) - 1),
          .head = head_of(grid)};
}

unsigned GroupGrid::code_of(float weight) const {
  if (step == 0) return static_cast<unsigned>(zero);
  return static_cast<unsigned>(rounded(clamped(weight / step + zero, most)));
}

std::uint16_t packed_head(float scale, unsigned zero) {
  CHECK(scale > 0 && zero < 128);
  const int steps = static_cast<int>(std::bit_cast<std::uint32_t>(scale) >> 19) - (127 - 24) * 16;
  const int code = std::clamp(steps, 0, static_cast<int>(kPackedScales) - 1);
  return head_of({static_cast<std::uint32_t>(code), static_cast<int>(zero)});
}

void decode_packed(const PackedShape& shape, ByteView stored, std::span<float> values) {
  const int step = packed_step(shape.bits);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    for (std::size_t first = 0; first < shape.cols; first += kGroup) {
      const PackedGroup place(shape, row, first / kGroup);
      const auto head = load_le<std::uint16_t>(stored, place.head_at());
      const float scale = packed_scale(scale_code_of(head));
      const std::size_t count = std::min<std::size_t>(kGroup, shape.cols - first);
      for (std::size_t i = 0; i < count; ++i) {
        const int code = static_cast<int>(place.code(stored.data(), i)) * step - zero_of(head);
        values[row * shape.cols + first + i] = static_cast<float>(code) * scale;
      }
    }
  }
}

}  // namespace skein
