// Random test inputs from a fixed seed. Tests only.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace skein::test {

// Normal values; the same on every machine that has the same libstdc++.
inline std::vector<float> random_floats(std::size_t count, std::uint64_t seed, float spread = 1) {
  std::mt19937_64 source(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(source);
  return values;
}

}  // namespace skein::test
