#include "kernels/ops/norm.h"

#include <cmath>
#include <cstddef>

#include "common/base/check.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/values.h"

namespace skein {

float ordered_sum(std::span<const float> x) {
  return sum_of(x.size(), [x](std::size_t i) { return x[i]; });
}

float ordered_dot(std::span<const float> x, std::span<const float> y) {
  CHECK(x.size() == y.size());
  return sum_of(x.size(), [x, y](std::size_t i) { return x[i] * y[i]; });
}

void layer_norm(std::span<const float> x, const NormWeights& norm, std::span<float> out) {
  group_norm(x, 1, norm, out);
}

void group_norm(std::span<const float> x, std::size_t groups, const NormWeights& norm,
                std::span<float> out) {
  CHECK(groups != 0 && x.size() % groups == 0 && out.size() == x.size());
  CHECK(norm.weight.size() == x.size() && norm.bias.size() == x.size());
  const std::size_t size = x.size() / groups;
  for (std::size_t first = 0; first < x.size(); first += size) {
    current_kernels().normalize(&x[first], size, &norm.weight[first], &norm.bias[first],
                                norm.epsilon, &out[first]);
  }
}

void normalize_groups(std::span<float> x, std::size_t groups) {
  CHECK(groups != 0 && x.size() % groups == 0);
  const std::size_t size = x.size() / groups;
  for (std::size_t first = 0; first < x.size(); first += size) {
    const std::span<float> group = x.subspan(first, size);
    const float length = std::sqrt(ordered_dot(group, group));
    const float divisor = length > 1e-12F ? length : 1e-12F;
    for (float& value : group) value /= divisor;
  }
}

}  // namespace skein
