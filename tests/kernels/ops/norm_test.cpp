#include "kernels/ops/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/ops/wkv.h"
#include "tests/support/random_floats.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::random_floats;

TEST(Norm, SumsInSixteenLanesAndATree) {
  // 2^24 swallows a single 1 in its own lane, and only there.
  std::vector<float> x(32, 0.0F);
  x[3] = 16777216.0F;
  x[19] = 1;  // the same lane as 3: lost
  EXPECT_EQ(ordered_sum(x), 16777216.0F);
  x[19] = 0;
  x[4] = 1;
  x[5] = 1;  // lanes 4 and 5 meet lane 3 only after lane 5 met lane 7 ... in the tree
  const float lanes = (16777216.0F + 0) + (1 + 0);
  EXPECT_EQ(ordered_sum(x), lanes + 1);
}

TEST(Norm, LayerNormCentresAndScales) {
  const std::vector<float> x = random_floats(70, 1, 5);
  const std::vector<float> weight = random_floats(70, 2);
  const std::vector<float> bias = random_floats(70, 3);
  std::vector<float> out(70);
  layer_norm(x, {weight, bias, 1e-5F}, out);
  double mean = 0;
  double squares = 0;
  for (const float value : x) mean += double{value} / 70;
  for (const float value : x) squares += (double{value} - mean) * (double{value} - mean) / 70;
  for (std::size_t i = 0; i < 70; ++i) {
    const double expected =
        (double{x[i]} - mean) / std::sqrt(squares + 1e-5) * double{weight[i]} + double{bias[i]};
    EXPECT_NEAR(double{out[i]}, expected, 2e-6);
  }
}

TEST(Norm, GroupNormIsALayerNormOfEachGroup) {
  const std::vector<float> x = random_floats(96, 4);
  const std::vector<float> ones(96, 1.0F);
  const std::vector<float> zeros(96, 0.0F);
  std::vector<float> grouped(96);
  std::vector<float> alone(32);
  group_norm(x, 3, {ones, zeros, 64e-5F}, grouped);
  const NormWeights part = {std::span(ones).first(32), std::span(zeros).first(32), 64e-5F};
  layer_norm(std::span(x).subspan(32, 32), part, alone);
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), grouped.begin() + 32));
}

TEST(Norm, NormalizedGroupsHaveUnitLengthAndZeroStaysZero) {
  std::vector<float> x = random_floats(64, 5);
  x.resize(128, 0.0F);
  normalize_groups(x, 2);
  EXPECT_NEAR(ordered_dot(std::span(x).first(64), std::span(x).first(64)), 1, 1e-6);
  for (std::size_t i = 64; i < 128; ++i) EXPECT_EQ(x[i], 0);
}

TEST(Wkv, FollowsTheDeltaRule) {
  const std::uint32_t n = 24;  // not a multiple of 16: the reference itself
  const std::vector<float> before = random_floats(n * n, 6);
  std::vector<float> state = before;
  const std::vector<float> in = random_floats(6 * n, 7);
  std::vector<float> y(n);
  const WkvHead head = {.state = state.data(),
                        .r = &in[0],
                        .w = &in[n],
                        .k = &in[2 * n],
                        .v = &in[3 * n],
                        .kk = &in[4 * n],
                        .b = &in[5 * n],
                        .y = y.data(),
                        .size = n};
  wkv(head);
  for (std::size_t i = 0; i < n; ++i) {
    double removed = 0;
    double expected_y = 0;
    for (std::size_t j = 0; j < n; ++j) removed += double{before[i * n + j]} * double{head.kk[j]};
    for (std::size_t j = 0; j < n; ++j) {
      const double expected = double{before[i * n + j]} * double{head.w[j]} -
                              removed * double{head.b[j]} + double{head.v[i]} * double{head.k[j]};
      EXPECT_NEAR(double{state[i * n + j]}, expected, 1e-4);
      expected_y += expected * double{head.r[j]};
    }
    EXPECT_NEAR(double{y[i]}, expected_y, 1e-4);
  }
}

}  // namespace
}  // namespace skein
