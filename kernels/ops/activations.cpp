#include "kernels/ops/activations.h"

#include "common/base/check.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/values.h"

namespace skein {

float exp_of(float x) { return exp_value(x); }
float tanh_of(float x) { return tanh_value(x); }
float sigmoid_of(float x) { return sigmoid_value(x); }

void tanh_all(std::span<float> x) { current_kernels().tanh_all(x.data(), x.size()); }
void sigmoid_all(std::span<float> x) { current_kernels().sigmoid_all(x.data(), x.size()); }
void silu_all(std::span<float> x) { current_kernels().silu_all(x.data(), x.size()); }
void relu_squared_all(std::span<float> x) {
  current_kernels().relu_squared_all(x.data(), x.size());
}
void silence_below(std::span<const float> thresholds, std::span<float> x) {
  CHECK(thresholds.size() == x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = x[i] < thresholds[i] ? 0.0F : x[i];
}
void decay_all(std::span<float> x) { current_kernels().decay_all(x.data(), x.size()); }
void exp_decay_all(std::span<float> x) { current_kernels().exp_decay_all(x.data(), x.size()); }

void shift_mix(std::span<const float> x, std::span<const float> previous,
               std::span<const float> mix, std::span<float> out) {
  CHECK(previous.size() == x.size() && mix.size() == x.size() && out.size() == x.size());
  current_kernels().shift_mix(x.data(), previous.data(), mix.data(), out.data(), x.size());
}

}  // namespace skein
