#include "common/model/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

// How often each of four tokens is picked in `draws`.
std::array<int, 4> counts(const SamplerOptions& options, std::span<const float> logits, int draws) {
  Sampler sampler(options);
  std::array<int, 4> seen{};
  for (int i = 0; i < draws; ++i) ++seen[sampler.pick(logits)];
  return seen;
}

TEST(Sampler, ZeroTemperatureTakesTheLowestOfTheLargest) {
  Sampler sampler({.temperature = 0});
  const std::vector<float> logits = {1, 7, 7, -3};
  EXPECT_EQ(sampler.pick(logits), 1U);
  const std::vector<float> odd = {std::numeric_limits<float>::quiet_NaN(), -5, -4};
  EXPECT_EQ(sampler.pick(odd), 2U);
}

TEST(Sampler, FollowsTheProbabilities) {
  const std::vector<float> logits = {std::log(0.1F), std::log(0.2F), std::log(0.3F),
                                     std::log(0.4F)};
  const auto seen = counts({.seed = 3}, logits, 20000);
  EXPECT_NEAR(seen[0], 2000, 200);
  EXPECT_NEAR(seen[1], 4000, 250);
  EXPECT_NEAR(seen[2], 6000, 250);
  EXPECT_NEAR(seen[3], 8000, 250);
}

TEST(Sampler, TemperatureSharpens) {
  const std::vector<float> logits = {0, 0, 0, 1};
  EXPECT_GT(counts({.temperature = 0.1F}, logits, 1000)[3], 990);
}

TEST(Sampler, TopKKeepsTheKMostLikelyLowerIdsFirst) {
  const std::vector<float> logits = {1, 1, 1, 2};
  const auto seen = counts({.top_k = 2}, logits, 1000);
  EXPECT_GT(seen[0], 0);
  EXPECT_EQ(seen[1], 0);
  EXPECT_EQ(seen[2], 0);
  EXPECT_GT(seen[3], 0);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector<float> logits = {std::log(0.1F), std::log(0.2F), std::log(0.3F),
                                     std::log(0.4F)};
  const auto seen = counts({.top_p = 0.65F}, logits, 1000);
  EXPECT_EQ(seen[0], 0);
  EXPECT_EQ(seen[1], 0);
  EXPECT_GT(seen[2], 0);
  EXPECT_GT(seen[3], 0);
  EXPECT_EQ(counts({.top_p = 0}, logits, 50)[3], 50);
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const std::vector<float> logits = test::random_floats(1000, 5, 2);
  Sampler a({.top_p = 0.9F, .top_k = 200, .seed = 9});
  Sampler b({.top_p = 0.9F, .top_k = 200, .seed = 9});
  Sampler c({.top_p = 0.9F, .top_k = 200, .seed = 10});
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    const TokenId picked = a.pick(logits);
    EXPECT_EQ(picked, b.pick(logits));
    different += picked != c.pick(logits) ? 1 : 0;
  }
  EXPECT_GT(different, 50);
}

TEST(Sampler, ThePickIsTheSameWhereOnlyTheLogitsItLooksAtAreThere) {
  const SamplerOptions options[] = {{.temperature = 0},
                                    {.temperature = 0.8F, .top_k = 5, .seed = 1},
                                    {.temperature = 2, .top_k = 40, .seed = 2},
                                    {.temperature = 1, .top_k = 12, .seed = 3, .min_p = 0.05F}};
  for (const SamplerOptions& each : options) {
    Sampler whole(each);
    Sampler part(each);
    const std::uint32_t most = part.most();
    ASSERT_NE(most, 0U);
    for (std::uint64_t step = 0; step < 300; ++step) {
      std::vector<float> logits = test::random_floats(200, step, 3);
      for (float& logit : logits) logit = std::round(logit * 2) / 2;  // many alike
      std::vector<float> sorted = logits;
      std::ranges::sort(sorted, std::greater<>());
      std::vector<float> some = logits;
      for (float& logit : some) {
        if (logit < sorted[most - 1]) logit = -std::numeric_limits<float>::infinity();
      }
      ASSERT_EQ(whole.pick(logits), part.pick(some)) << most << " " << step;
    }
  }
}

TEST(Sampler, LooksAtAllLogitsWhereTheirSumOrAChangeOfThemCounts) {
  EXPECT_EQ(Sampler({.temperature = 1}).most(), 0U);
  EXPECT_EQ(Sampler({.temperature = 1, .top_p = 0.9F, .top_k = 5}).most(), 0U);
  EXPECT_EQ(Sampler({.temperature = 0, .repetition_penalty = 1.1F}).most(), 0U);
  EXPECT_EQ(Sampler({.temperature = 0, .frequency_penalty = 0.5F}).most(), 0U);
  EXPECT_EQ(Sampler({.temperature = 0, .logit_bias = {{3, 1.0F}}}).most(), 0U);
}

}  // namespace
}  // namespace skein
