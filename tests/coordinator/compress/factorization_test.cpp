// Factors of a matrix: exact where they can be, and the best of their kind where they cannot.
#include "coordinator/compress/internal/factorization.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

using Method = LowRankPlan::Method;

constexpr std::uint32_t kSide = 40;

// Inputs of very different sizes that go together in pairs.
InputStatistics uneven_inputs() {
  constexpr std::uint32_t kTokens = 500;
  std::vector<float> x = test::random_floats(kTokens * kSide, 5, 1);
  for (std::uint32_t t = 0; t < kTokens; ++t) {
    for (std::uint32_t j = 0; j < kSide; ++j) {
      float& value = x[t * kSide + j];
      if (j % 2 == 1) value = 0.2F * value + x[t * kSide + j - 1];
      value *= 1.0F / static_cast<float>(1 + j / 4);
    }
  }
  SerialParallel serial;
  StatisticsObserver observer(serial);
  observer.saw("x", x, kSide);
  return *observer.find("x");
}

double frobenius(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(double{a[i]} - b[i], 2);
  return sum;
}

TEST(Factorization, OfFullRankGivesTheMatrixBack) {
  const std::vector<float> values = test::random_floats(kSide * kSide, 1, 1);
  const DenseMatrix w{kSide, kSide, values};
  const InputStatistics seen = uneven_inputs();
  for (const Method method : {Method::kSvd, Method::kAwsvd, Method::kWhitened}) {
    const std::vector<float> again = product_of(factorize(w, method, &seen, kSide));
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(again[i], values[i], 1e-5);
  }
}

TEST(Factorization, FindsFactorsThatAreThere) {
  const Factorization made{.rank = 3,
                           .left = test::random_floats(kSide * 3, 1, 1),
                           .right = test::random_floats(3 * kSide, 2, 1)};
  const std::vector<float> values = product_of(made);
  const InputStatistics seen = uneven_inputs();
  for (const Method method : {Method::kSvd, Method::kAwsvd, Method::kWhitened}) {
    const Factorization found = factorize({kSide, kSide, values}, method, &seen, 3);
    EXPECT_EQ(found.left.size(), kSide * 3U);
    EXPECT_EQ(found.right.size(), 3U * kSide);
    EXPECT_LT(frobenius(product_of(found), values),
              1e-8 * frobenius(values, std::vector<float>(values.size())));
  }
}

TEST(Factorization, EachMethodIsTheBestByItsOwnMeasure) {
  const std::vector<float> values = test::random_floats(kSide * kSide, 1, 1);
  const DenseMatrix w{kSide, kSide, values};
  const InputStatistics seen = uneven_inputs();
  for (const std::uint32_t rank : {4U, 10U, 20U}) {
    const auto product = [&](Method method) {
      return product_of(factorize(w, method, &seen, rank));
    };
    const std::vector<float> plain = product(Method::kSvd);
    const std::vector<float> weighed = product(Method::kAwsvd);
    const std::vector<float> whitened = product(Method::kWhitened);
    EXPECT_LT(frobenius(plain, values), frobenius(weighed, values));
    EXPECT_LT(frobenius(plain, values), frobenius(whitened, values));
    EXPECT_LT(output_error(w, whitened, seen), output_error(w, weighed, seen));
    EXPECT_LT(output_error(w, weighed, seen), output_error(w, plain, seen));
  }
}

TEST(LowRankPlan, RanksFollowThePapers) {
  LowRankPlan plan{.factor = 8};
  EXPECT_EQ(plan.rank_of('k', 256), 32U);
  plan.ratio = 0.2;  // LoRAP's own example: 4096 wide, v and o stay, r and k get 1228
  EXPECT_EQ(plan.rank_of('v', 4096), 0U);
  EXPECT_EQ(plan.rank_of('k', 4096), 1228U);
  plan.ratio = 0.5;
  EXPECT_EQ(plan.rank_of('o', 4096), 1536U);
  EXPECT_EQ(plan.rank_of('r', 4096), 512U);
}

}  // namespace
}  // namespace skein
