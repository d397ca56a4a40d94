// The elementwise functions and the norm as plain loops, compiled once per instruction set: every
// iteration stands alone (or in its own one of 16 sums), so however the compiler makes vectors of
// them, each result has the bits of the scalar loop. Included once per instruction set; see
// values.h. The pragmas say that no iteration reads what another writes: pointers are equal or
// apart.
#pragma once

#include "kernels/ops/values.h"
#include "kernels/ops/wkv.h"

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
#pragma clang loop vectorize(assume_safety)
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
#pragma clang loop vectorize(assume_safety)
  for (std::size_t i = 0; i < count; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

void prepare_heads(const HeadInputs& in) {
  constexpr float kExpMinusHalf = 0.60653065971263342F;
#pragma clang loop vectorize(assume_safety)
  for (std::size_t i = 0; i < in.count; ++i) {
    in.w[i] = exp_value(-kExpMinusHalf * sigmoid_value(in.w[i] + in.w_bias[i]));
  }
#pragma clang loop vectorize(assume_safety)
  for (std::size_t i = 0; i < in.count; ++i) in.a[i] = sigmoid_value(in.a[i] + in.a_bias[i]);
  if (in.gate == nullptr) {
#pragma clang loop vectorize(assume_safety)
    for (std::size_t i = 0; i < in.count; ++i) in.v_first[i] = in.v[i];
  } else {
#pragma clang loop vectorize(assume_safety)
    for (std::size_t i = 0; i < in.count; ++i) {
      in.v[i] += (in.v_first[i] - in.v[i]) * sigmoid_value(in.gate[i] + in.gate_bias[i]);
    }
  }
  for (std::size_t first = 0; first < in.count; first += in.size) {
    const float* const k = in.k + first;
    const float* const k_k = in.k_k + first;
    float* const kk = in.kk + first;
#pragma clang loop vectorize(assume_safety)
    for (std::size_t i = 0; i < in.size; ++i) kk[i] = k[i] * k_k[i];
    const float squares = sum_of(in.size, [kk](std::size_t i) { return kk[i] * kk[i]; });
    const float length = __builtin_sqrtf(squares);
    const float divisor = length > 1e-12F ? length : 1e-12F;
#pragma clang loop vectorize(assume_safety)
    for (std::size_t i = 0; i < in.size; ++i) kk[i] /= divisor;
  }
#pragma clang loop vectorize(assume_safety)
  for (std::size_t i = 0; i < in.count; ++i) {
    in.b[i] = in.kk[i] * in.a[i];
    in.k[i] += in.k[i] * (in.a[i] - 1.0F) * in.k_a[i];
  }
}

void finish_heads(const HeadOutputs& out) {
  for (std::size_t first = 0; first < out.count; first += out.size) {
    float* const y = out.y + first;
    const float* const r = out.r + first;
    const float* const k = out.k + first;
    const float* const v = out.v + first;
    const float* const g = out.g + first;
    const float* const r_k = out.r_k + first;
    normalize(y, out.size, out.norm_weight + first, out.norm_bias + first, out.epsilon, y);
    const float bonus =
        sum_of(out.size, [r, k, r_k](std::size_t i) { return r[i] * k[i] * r_k[i]; });
#pragma clang loop vectorize(assume_safety)
    for (std::size_t i = 0; i < out.size; ++i) y[i] = (y[i] + bonus * v[i]) * g[i];
  }
}

}  // namespace
}  // namespace skein
