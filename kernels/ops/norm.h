// Sums and norms over vectors. Every sum has one order: 16 partial sums by index modulo 16, each in
// increasing index, then a tree (8 + 8, 4 + 4, 2 + 2, 1 + 1). Any thread; no allocation.
#pragma once

#include <span>

namespace skein {

float ordered_sum(std::span<const float> x);
float ordered_dot(std::span<const float> x, std::span<const float> y);

struct NormWeights {
  std::span<const float> weight;
  std::span<const float> bias;
  float epsilon = 1e-5F;
};

// out = (x - mean) / sqrt(variance + epsilon) * weight + bias. out may be x.
void layer_norm(std::span<const float> x, const NormWeights& norm, std::span<float> out);
// The same over each of `groups` equal runs of x, with weight and bias over the whole.
void group_norm(std::span<const float> x, std::size_t groups, const NormWeights& norm,
                std::span<float> out);
// Each of `groups` equal runs of x divided by max(its Euclidean length, 1e-12), in place.
void normalize_groups(std::span<float> x, std::size_t groups);

}  // namespace skein
