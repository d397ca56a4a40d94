// What every quantized format owes its weights, whatever they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/ops/format.h"
#include "tests/support/random_floats.h"

namespace skein {
namespace {

constexpr std::uint32_t kCols = 96;
constexpr std::uint32_t kRows = 40;

class Quantizer : public testing::TestWithParam<Format> {
 protected:
  Buffer encoded(std::span<const float> values) const {
    Buffer out(stored_bytes(GetParam(), Layout::kRows, kRows, kCols));
    encode(GetParam(), Layout::kRows, kRows, kCols, values, out);
    return out;
  }
  std::vector<float> rounded(std::span<const float> values) const {
    std::vector<float> out(values.size());
    decode(GetParam(), Layout::kRows, kRows, kCols, encoded(values), out);
    return out;
  }
};

std::vector<float> weights(float spread) { return test::random_floats(kRows * kCols, 5, spread); }

double squared_distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return sum;
}

// Grids are chosen among some, so a few groups of few bits may lie on one that is not tried again.
TEST_P(Quantizer, RoundsWhatItRoundedToNearlyItself) {
  const std::vector<float> once = rounded(weights(0.1F));
  const double moved = squared_distance(rounded(once), once);
  const bool exact = GetParam() == Format::kQ8 || GetParam() == Format::kQ6;
  EXPECT_LE(moved, exact ? 0 : 0.08 * squared_distance(once, weights(0.1F)));
}

TEST_P(Quantizer, KnowsNoUnit) {
  const std::vector<float> one = rounded(weights(0.1F));
  for (const int power : {-3, 2}) {
    std::vector<float> scaled = weights(0.1F);
    for (float& value : scaled) value = std::ldexp(value, power);
    std::vector<float> expected = one;
    for (float& value : expected) value = std::ldexp(value, power);
    EXPECT_EQ(rounded(scaled), expected) << power;
  }
}

TEST_P(Quantizer, AGroupIsItsOwn) {
  std::vector<float> values = weights(0.1F);
  const std::vector<float> before = rounded(values);
  std::fill_n(values.begin(), kGroup, 0.0F);
  const std::vector<float> after = rounded(values);
  EXPECT_TRUE(std::all_of(after.begin(), after.begin() + kGroup, [](float v) { return v == 0; }));
  EXPECT_TRUE(std::equal(after.begin() + kGroup, after.end(), before.begin() + kGroup));
}

INSTANTIATE_TEST_SUITE_P(Formats, Quantizer,
                         testing::Values(Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4),
                         [](const auto& format) { return std::string(name_of(format.param)); });

}  // namespace
}  // namespace skein
