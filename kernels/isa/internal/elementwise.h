// The elementwise functions and the norm as plain loops, compiled once per instruction set: every
// iteration stands alone (or in its own one of 16 sums), so however the compiler makes vectors of
// them, each result has the bits of the scalar loop. Included once per instruction set; see
// values.h.
#pragma once

#include "kernels/ops/values.h"

namespace skein {
namespace {

void tanh_all(float* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) x[i] = tanh_value(x[i]);
}

void sigmoid_all(float* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) x[i] = sigmoid_value(x[i]);
}

void silu_all(float* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) x[i] *= sigmoid_value(x[i]);
}

void relu_squared_all(float* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const float positive = x[i] > 0 ? x[i] : 0.0F;
    x[i] = positive * positive;
  }
}

void decay_all(float* x, std::size_t count) {
  constexpr float kExpMinusHalf = 0.60653065971263342F;
  for (std::size_t i = 0; i < count; ++i) x[i] = exp_value(-kExpMinusHalf * sigmoid_value(x[i]));
}

void exp_decay_all(float* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) x[i] = exp_value(-exp_value(x[i]));
}

void shift_mix(const float* x, const float* previous, const float* mix, float* out,
               std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = x[i] + mix[i] * (previous[i] - x[i]);
}

void normalize(const float* x, std::size_t count, const float* weight, const float* bias,
               float epsilon, float* out) {
  const auto size = static_cast<float>(count);
  const float mean = sum_of(count, [x](std::size_t i) { return x[i]; }) / size;
  const float squares = sum_of(count, [x, mean](std::size_t i) {
    const float centred = x[i] - mean;
    return centred * centred;
  });
  const float scale = 1.0F / __builtin_sqrtf(squares / size + epsilon);
  for (std::size_t i = 0; i < count; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

}  // namespace
}  // namespace skein
