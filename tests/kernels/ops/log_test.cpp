#include "kernels/ops/log.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

TEST(Log, ExpAndLogAgreeWithTheLibraryToFifteenDigits) {
  for (double x = -700; x <= 700; x += 0.37) {
    EXPECT_NEAR(double_exp(x) / std::exp(x), 1, 1e-15) << x;
  }
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    const double expected = std::log(x);
    EXPECT_NEAR(double_log(x), expected, 1e-15 * std::max(1.0, std::abs(expected))) << x;
  }
  for (double x = 0.5; x < 2; x += 0.0013) EXPECT_NEAR(double_log(x), std::log(x), 2e-16) << x;
  EXPECT_EQ(double_exp(0), 1);
  EXPECT_EQ(double_log(1), 0);
  EXPECT_EQ(double_exp(-1e9), 0);
}

TEST(Log, LogSumExpOfAnyLength) {
  for (const std::size_t count : {1U, 2U, 255U, 256U, 257U, 1000U}) {
    const std::vector<float> x = test::random_floats(count, count, 20);
    long double sum = 0;
    for (const float value : x) sum += std::exp(static_cast<long double>(value));
    EXPECT_NEAR(log_sum_exp(x), static_cast<double>(std::log(sum)), 1e-12) << count;
  }
}

TEST(Log, LogSumExpDoesNotOverflow) {
  const std::vector<float> x = {3e38F, -3e38F, 0};
  EXPECT_EQ(log_sum_exp(x), static_cast<double>(3e38F));
}

}  // namespace
}  // namespace skein
