// The one order of operations in a block of neurons (kernels/ops/neurons.h), spelled out.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/isa/kernel_table.h"
#include "kernels/ops/internal/codes.h"
#include "kernels/ops/internal/elements.h"
#include "kernels/ops/matmul.h"
#include "kernels/ops/neurons.h"
#include "kernels/ops/reference.h"

namespace skein::reference {
namespace {

constexpr float kMultiplierSteps = 16256;

template <float (*value_at)(const std::byte*, std::size_t)>
void plain(const NeuronRows& neurons, float* y) {
  for (std::size_t j = 0; j < neurons.cols; ++j) {
    float sum = 0;
    for (std::size_t i = 0; i < neurons.count; ++i) {
      const float term = value_at(neurons.rows[i], neurons.first_col + j) * neurons.h[i];
      sum += term;
    }
    y[j] += sum;
  }
}

// What a row's codes in one group are multiplied by.
std::int32_t multiplier(float scale, float factor) {
  const float steps = scale * factor + 12582912.0F;  // the low bits are now the nearest integer
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(steps) - 0x4B400000U;
  return std::clamp(static_cast<std::int32_t>(bits), -16256, 16256);
}

void add_group(const NeuronRows& neurons, Format format, std::size_t group, float* y,
               std::size_t outputs) {
  const PackedShape shape{packed_bits(format), Layout::kRows, 1, neurons.row_cols};
  const float quotient = kMultiplierSteps / neurons.largest;
  const float inverse = quotient < std::numeric_limits<float>::infinity() ? quotient : 0.0F;
  std::array<std::int32_t, kGroup> sums{};
  for (std::size_t i = 0; i < neurons.count; ++i) {
    const GroupCodes w = group_codes(format, shape, neurons.rows[i], 0, group);
    const std::int32_t m = multiplier(w.scale, neurons.h[i] * inverse);
    for (std::size_t j = 0; j < kGroup; ++j) sums[j] += m * w.codes[j];
  }
  const float step = neurons.largest / kMultiplierSteps;
  for (std::size_t j = 0; j < outputs; ++j) {
    const float share = static_cast<float>(sums[j]) * step;
    y[j] += share;
  }
}

void grouped(const NeuronRows& neurons, Format format, float* y) {
  for (std::size_t j = 0; j < neurons.cols; j += kGroup) {
    const std::size_t outputs = std::min<std::size_t>(kGroup, neurons.cols - j);
    add_group(neurons, format, (neurons.first_col + j) / kGroup, y + j, outputs);
  }
}

}  // namespace

void neurons_f32(const NeuronRows& neurons, float* y) { plain<f32_at>(neurons, y); }
void neurons_bf16(const NeuronRows& neurons, float* y) { plain<bf16_at>(neurons, y); }
void neurons_f16(const NeuronRows& neurons, float* y) { plain<f16_at>(neurons, y); }
void neurons_q8(const NeuronRows& neurons, float* y) { grouped(neurons, Format::kQ8, y); }
void neurons_q6(const NeuronRows& neurons, float* y) { grouped(neurons, Format::kQ6, y); }
void neurons_q5(const NeuronRows& neurons, float* y) { grouped(neurons, Format::kQ5, y); }
void neurons_q4(const NeuronRows& neurons, float* y) { grouped(neurons, Format::kQ4, y); }

}  // namespace skein::reference
