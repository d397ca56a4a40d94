// The sampler's stages, against picks computed in float64 from their definitions alone, by another
// program.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>

#include "common/model/sampler.h"
#include "tests/support/random_floats.h"

namespace skein {
namespace test {
extern std::atomic<std::uint64_t> allocations;  // of this program: model_test.cpp
}

namespace {

using Ids = std::vector<TokenId>;

const std::vector<float> kLogits = {1.5, -0.5, 2, 0, -2, 2.25, 0.75, -1};

std::vector<std::uint64_t> mask_of(const Ids& ids, std::size_t count) {
  std::vector<std::uint64_t> words((count + 63) / 64);
  for (const TokenId id : ids) words[id / 64] |= std::uint64_t{1} << (id % 64);
  return words;
}

Ids picks(const SamplerOptions& options, std::size_t count, const Ids& allowed = {},
          const Ids& prompt = {}, std::span<const float> logits = kLogits) {
  Sampler sampler(options);
  sampler.read(prompt);
  const auto mask = mask_of(allowed, allowed.empty() ? 0 : logits.size());
  Ids picked;
  while (picked.size() < count) picked.push_back(sampler.pick(logits, mask));
  return picked;
}

TEST(SamplerStages, PickWhatTheirDefinitionsSay) {
  EXPECT_EQ(picks({.seed = 1}, 16), (Ids{5, 5, 6, 2, 2, 5, 5, 3, 2, 5, 2, 5, 2, 4, 2, 0}));
  EXPECT_EQ(picks({.temperature = 0.5, .seed = 1, .min_p = 0.2F}, 16),
            (Ids{5, 5, 5, 2, 2, 5, 5, 5, 2, 5, 2, 5, 5, 5, 2, 2}));
  EXPECT_EQ(picks({.top_p = 0.8F, .top_k = 4, .seed = 1, .min_p = 0.1F}, 16),
            (Ids{2, 2, 0, 2, 2, 2, 0, 2, 5, 0, 5, 2, 2, 2, 5, 5}));
  EXPECT_EQ(
      picks({.seed = 2, .repetition_penalty = 1.7F, .repeat_last_n = 3}, 16, {}, {5, 2, 5, 7}),
      (Ids{3, 5, 2, 5, 1, 2, 5, 5, 0, 5, 2, 2, 3, 2, 6, 0}));
  EXPECT_EQ(picks({.seed = 2, .repetition_penalty = 1.7F}, 16, {}, {5, 2, 5, 7}),
            (Ids{3, 5, 3, 5, 1, 2, 5, 5, 0, 5, 2, 2, 5, 2, 6, 1}));
  EXPECT_EQ(picks({.temperature = 0, .frequency_penalty = 0.31F}, 16),
            (Ids{5, 2, 5, 2, 5, 0, 2, 5, 0, 2, 5, 0, 2, 6, 5, 0}));
  EXPECT_EQ(picks({.temperature = 0, .presence_penalty = 0.61F}, 16),
            (Ids{5, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}));
  EXPECT_EQ(picks({.temperature = 0,
                   .repetition_penalty = 1.3F,
                   .repeat_last_n = 2,
                   .frequency_penalty = 0.21F,
                   .presence_penalty = 0.42F},
                  16),
            (Ids{5, 2, 0, 5, 2, 5, 0, 2, 5, 6, 2, 5, 0, 2, 5, 0}));
  EXPECT_EQ(picks({.seed = 3, .logit_bias = {{4, 4}, {5, -100}}}, 16),
            (Ids{0, 4, 4, 0, 1, 4, 0, 4, 2, 4, 4, 4, 2, 2, 4, 4}));
  EXPECT_EQ(picks({.seed = 3}, 16, {1, 3, 6}),
            (Ids{1, 6, 6, 1, 3, 6, 1, 6, 6, 6, 6, 6, 6, 3, 6, 6}));
}

const SamplerOptions kEverything = {.temperature = 1.3F,
                                    .top_p = 0.95F,
                                    .top_k = 6,
                                    .seed = 4,
                                    .min_p = 0.02F,
                                    .repetition_penalty = 1.2F,
                                    .repeat_last_n = 8,
                                    .frequency_penalty = 0.5,
                                    .presence_penalty = 0.25,
                                    .logit_bias = {{7, 1.5F}}};

TEST(SamplerStages, WorkTogetherInTheirOrder) {
  EXPECT_EQ(picks(kEverything, 16, {0, 1, 2, 4, 6, 7}, {0, 1}),
            (Ids{0, 7, 7, 2, 6, 0, 7, 0, 2, 6, 6, 1, 0, 6, 6, 1}));
}

// Taken from the sampler before it had the other stages.
TEST(SamplerStages, TheOldOptionsPickAsTheyAlwaysHave) {
  const std::vector<float> logits = test::random_floats(5000, 77);
  const auto picked = [&](const SamplerOptions& options) {
    return picks(options, 12, {}, {}, logits);
  };
  EXPECT_EQ(picked({.seed = 5}),
            (Ids{1965, 3718, 1214, 523, 962, 1932, 4935, 2545, 2148, 2979, 2248, 706}));
  EXPECT_EQ(picked({.temperature = 0.7F, .top_p = 0.9F, .seed = 6}),
            (Ids{1918, 4697, 4005, 590, 1594, 1996, 1349, 3899, 2348, 4784, 2411, 3001}));
  EXPECT_EQ(picked({.temperature = 1.2F, .top_k = 40, .seed = 7}),
            (Ids{3540, 2939, 4000, 2146, 2348, 2234, 2574, 84, 1888, 4953, 1888, 1349}));
  EXPECT_EQ(picked({.temperature = 0.9F, .top_p = 0.85F, .top_k = 200, .seed = 8}),
            (Ids{962, 2979, 3718, 4314, 1888, 28, 2519, 256, 4005, 1242, 1989, 2782}));
}

TEST(SamplerStages, OptionsThatAreOffChangeNothing) {
  const std::vector<float> logits = test::random_floats(500, 3);
  const SamplerOptions off = {.seed = 9,
                              .min_p = 0,
                              .repetition_penalty = 1,
                              .repeat_last_n = 500,
                              .frequency_penalty = 0,
                              .presence_penalty = 0};
  SamplerOptions no_window = off;
  no_window.repetition_penalty = 2;
  no_window.repeat_last_n = 0;
  Ids all(500);
  for (TokenId id = 0; id < 500; ++id) all[id] = id;
  const Ids plain = picks({.seed = 9}, 50, {}, {}, logits);
  EXPECT_EQ(picks(off, 50, {}, {1, 2, 3}, logits), plain);
  EXPECT_EQ(picks(no_window, 50, {}, {1, 2, 3}, logits), plain);
  EXPECT_EQ(picks({.seed = 9}, 50, all, {}, logits), plain);
}

TEST(SamplerStages, NothingThatIsNotAllowedIsPickedWhateverTheLogits) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> odd = {{kNan, kNan, kNan, kNan},
                                               {kInfinity, kNan, -kInfinity, kNan},
                                               {-kInfinity, -kInfinity, -kInfinity, -kInfinity},
                                               {kInfinity, kInfinity, kInfinity, kInfinity},
                                               {9e37F, -9e37F, kNan, 9e37F}};
  SamplerOptions greedy = kEverything;
  greedy.temperature = 0;
  greedy.logit_bias.clear();
  for (const auto& logits : odd) {
    for (const SamplerOptions& options : {SamplerOptions{}, SamplerOptions{kEverything}, greedy}) {
      for (const TokenId picked : picks(options, 20, {2, 3}, {2}, logits)) {
        EXPECT_TRUE(picked == 2 || picked == 3) << picked;
      }
    }
  }
  // A bit behind the logits is no token.
  Sampler sampler({});
  const std::uint64_t mask[] = {1ULL << 63 | 2};
  EXPECT_EQ(sampler.pick(odd[0], mask), 1U);
}

TEST(SamplerStages, NothingAllocatesAfterWarmUp) {
  const std::vector<float> logits = test::random_floats(4000, 5, 2);
  Ids some;
  for (TokenId id = 0; id < 4000; id += 7) some.push_back(id);
  const auto mask = mask_of(some, 4000);
  Sampler sampler(kEverything);
  sampler.read(Ids(100, 3999));
  sampler.pick(logits, mask);
  const std::uint64_t before = test::allocations;
  for (int i = 0; i < 50; ++i) sampler.pick(logits, i % 2 == 0 ? TokenMask(mask) : TokenMask());
  EXPECT_EQ(test::allocations, before);
}

TEST(SamplerStages, RefusesOptionsOutOfTheirRange) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(check({}, 10));
  EXPECT_TRUE(check(kEverything, 10));
  const std::pair<SamplerOptions, const char*> cases[] = {
      {{.temperature = -1}, "temperature"},
      {{.temperature = kNan}, "temperature"},
      {{.top_p = 1.5}, "top_p"},
      {{.min_p = 2}, "min_p"},
      {{.repetition_penalty = 0}, "repetition_penalty"},
      {{.repeat_last_n = kMaxRepeatLastN + 1}, "repeat_last_n"},
      {{.frequency_penalty = -3}, "frequency_penalty"},
      {{.presence_penalty = kNan}, "presence_penalty"},
      {{.logit_bias = {{1, 101}}}, "logit_bias"},
      {{.logit_bias = {{10, 1}}}, "token 10"},
      {{.logit_bias = std::vector<std::pair<TokenId, float>>(kMaxLogitBias + 1)}, "biased tokens"},
  };
  for (const auto& [options, named] : cases) {
    const auto refused = check(options, 10);
    ASSERT_FALSE(refused) << named;
    EXPECT_EQ(refused.error().code, Errc::kUsage);
    EXPECT_NE(refused.error().what.find(named), std::string::npos) << refused.error().what;
    EXPECT_FALSE(refused.error().remedy.empty());
  }
}

}  // namespace
}  // namespace skein
