// The elementwise functions of a layer. No libm: every result comes from IEEE add, multiply, divide
// and bit moves, so it is the same bits on every machine. Any thread; no allocation.
#pragma once

#include <span>

namespace skein {

float exp_of(float x);      // within 2 units in the last place; 0 below -104, infinity above 88.73
float tanh_of(float x);     // within 3e-7 relative
float sigmoid_of(float x);  // 1 / (1 + exp(-x))

// In place.
void tanh_all(std::span<float> x);
void sigmoid_all(std::span<float> x);
void relu_squared_all(std::span<float> x);  // max(x, 0)^2: the exact zeros of the channel mix

// Values below their threshold become 0; a NaN stays.
void silence_below(std::span<const float> thresholds, std::span<float> x);

void silu_all(std::span<float> x);  // x * sigmoid(x)

// The RWKV-7 decay of each channel: exp(-exp(-0.5) * sigmoid(x)), in place.
void decay_all(std::span<float> x);
// That of RWKV-5 and RWKV-6: exp(-exp(x)), in place.
void exp_decay_all(std::span<float> x);

// out = x + mix * (previous - x): token shift.
void shift_mix(std::span<const float> x, std::span<const float> previous,
               std::span<const float> mix, std::span<float> out);

}  // namespace skein
