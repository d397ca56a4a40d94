#include "kernels/ops/activations.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

TEST(Activations, ExpIsWithinTwoUnitsInTheLastPlace) {
  for (float x = -87; x < 88.7F; x += 0.0037F) {
    const double exact = std::exp(double{x});
    EXPECT_NEAR(double{exp_of(x)} / exact, 1, 2.4e-7) << x;
  }
}

TEST(Activations, ExpHandlesTheEnds) {
  EXPECT_EQ(exp_of(0), 1);
  EXPECT_EQ(exp_of(-105), 0);
  EXPECT_EQ(exp_of(-std::numeric_limits<float>::infinity()), 0);
  EXPECT_TRUE(std::isinf(exp_of(89)));
  EXPECT_TRUE(std::isinf(exp_of(std::numeric_limits<float>::infinity())));
  EXPECT_TRUE(std::isnan(exp_of(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_NEAR(double{exp_of(-95)}, std::exp(-95.0), 1.5e-45);  // subnormal
}

TEST(Activations, TanhAndSigmoidFollowTheirDefinition) {
  for (float x = -20; x < 20; x += 0.0031F) {
    EXPECT_NEAR(double{tanh_of(x)}, std::tanh(double{x}), 3e-7 * std::fabs(std::tanh(double{x})));
    EXPECT_NEAR(double{sigmoid_of(x)}, 1 / (1 + std::exp(-double{x})), 1.5e-7);
  }
  EXPECT_EQ(tanh_of(0), 0);
  EXPECT_EQ(tanh_of(100), 1);
  EXPECT_EQ(tanh_of(-100), -1);
  EXPECT_EQ(sigmoid_of(-200), 0);
  EXPECT_EQ(sigmoid_of(200), 1);
}

TEST(Activations, WholeVectorsGetTheBitsOfTheSingleFunctions) {
  const std::vector<float> x = test::random_floats(77, 1, 3);
  std::vector<float> tanhs = x;
  std::vector<float> sigmoids = x;
  std::vector<float> decays = x;
  std::vector<float> squares = x;
  tanh_all(tanhs);
  sigmoid_all(sigmoids);
  decay_all(decays);
  relu_squared_all(squares);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(tanhs[i], tanh_of(x[i]));
    EXPECT_EQ(sigmoids[i], sigmoid_of(x[i]));
    EXPECT_NEAR(double{decays[i]}, std::exp(-std::exp(-0.5) / (1 + std::exp(-double{x[i]}))), 2e-7);
    EXPECT_EQ(squares[i], x[i] > 0 ? x[i] * x[i] : 0);
  }
}

}  // namespace
}  // namespace skein
