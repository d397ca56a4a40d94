#include "kernels/ops/norm.h"

#include <cmath>
#include <cstddef>

#include "common/base/check.h"

namespace skein {
namespace {

constexpr std::size_t kLanes = 16;

// The sum over term(i), i in [0, count), in the order of norm.h.
template <class Term>
float sum_of(std::size_t count, Term term) {
  float lanes[kLanes] = {};
  const std::size_t whole = count / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (std::size_t i = whole; i < count; ++i) lanes[i - whole] += term(i);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

void normalize(std::span<const float> x, const NormWeights& norm, std::span<float> out) {
  const auto count = static_cast<float>(x.size());
  const float mean = ordered_sum(x) / count;
  const float squares = sum_of(x.size(), [x, mean](std::size_t i) {
    const float centred = x[i] - mean;
    return centred * centred;
  });
  const float scale = 1.0F / std::sqrt(squares / count + norm.epsilon);
  for (std::size_t i = 0; i < x.size(); ++i) {
    out[i] = (x[i] - mean) * scale * norm.weight[i] + norm.bias[i];
  }
}

}  // namespace

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
    const NormWeights part = {norm.weight.subspan(first, size), norm.bias.subspan(first, size),
                              norm.epsilon};
    normalize(x.subspan(first, size), part, out.subspan(first, size));
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
