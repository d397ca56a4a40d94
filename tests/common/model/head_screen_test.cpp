// Screening the head, on random models with whatever sketch: a logit that is asked for is never
// left out, and is the dense head's bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/model/model.h"
#include "common/model/weights.h"
#include "tests/support/screened_model.h"

namespace skein {
namespace {

constexpr std::uint32_t kWidth = 128;
constexpr std::uint32_t kVocab = 333;

ModelConfig config() {
  ModelConfig config = test::small_config();
  config.layers = 1;
  config.vocab = kVocab;
  return config;
}

using Form = test::ScreenForm;

test::MemoryPages screened(const Form& form, std::uint64_t seed) {
  return test::screened_model(form, config(), seed);
}

class HeadScreen : public testing::Test {
 protected:
  // Every token in turn, dense and screened.
  static void compare(test::MemoryPages& pages, std::uint32_t most, std::size_t& left_out) {
    const auto model = Model::open(pages);
    ASSERT_TRUE(model) << to_string(model.error());
    SerialParallel serial;
    Runner dense(**model, serial);
    Runner screened(**model, serial);
    RwkvState one((*model)->config());
    RwkvState other = one;
    std::vector<float> all(kVocab);
    std::vector<float> some(kVocab);
    for (TokenId id = 0; id < 25; ++id) {
      const Feed whole = {std::span(&id, 1), &one, all};
      const Feed part = {std::span(&id, 1), &other, some, most};
      ASSERT_TRUE(dense.feed(std::span(&whole, 1)));
      ASSERT_TRUE(screened.feed(std::span(&part, 1)));
      std::vector<float> sorted = all;
      std::ranges::sort(sorted, std::greater<>());
      for (std::size_t v = 0; v < kVocab; ++v) {
        if (all[v] >= sorted[most - 1]) ASSERT_EQ(some[v], all[v]) << "token " << v;
        if (std::isfinite(some[v])) {
          ASSERT_EQ(some[v], all[v]);
        } else {
          ++left_out;
        }
      }
    }
    EXPECT_EQ(screened.counters().head_bytes_total, dense.counters().head_bytes_total);
    EXPECT_EQ(dense.counters().head_bytes_read, dense.counters().head_bytes_total);
  }
};

TEST_F(HeadScreen, NeverLeavesOutWhatIsAskedForWhateverTheSketch) {
  std::uint64_t seed = 1;
  for (const Format head : {Format::kF32, Format::kBf16, Format::kQ8, Format::kQ5, Format::kQ4}) {
    for (const Format sketch : {Format::kF32, Format::kQ8, Format::kQ4}) {
      for (const bool orthonormal : {true, false}) {
        const Form form{head, sketch, 40, orthonormal};
        test::MemoryPages pages = screened(form, seed += 20);
        for (const std::uint32_t most : {1U, 7U, kVocab}) {
          std::size_t left_out = 0;
          compare(pages, most, left_out);
          if (HasFatalFailure()) FAIL() << name_of(head) << " " << name_of(sketch) << " " << most;
        }
      }
    }
  }
}

TEST_F(HeadScreen, AWholeBasisLeavesFewRows) {
  test::MemoryPages pages = screened({Format::kQ8, Format::kQ8, 128}, 5);
  std::size_t left_out = 0;
  compare(pages, 1, left_out);
  EXPECT_GT(left_out, 25 * kVocab / 2);
}

TEST_F(HeadScreen, WhoWantsAllLogitsGetsThemBesideWhoWantsFew) {
  test::MemoryPages pages = screened({Format::kQ8, Format::kQ8, 128}, 5);
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  SerialParallel serial;
  Runner runner(**model, serial);
  const RwkvState start((*model)->config());
  const TokenId ids[] = {3, 4};
  std::vector<float> alone(kVocab);
  RwkvState state = start;
  ASSERT_TRUE(runner.step(ids[1], state, alone));
  std::vector<float> few(kVocab);
  std::vector<float> all(kVocab);
  RwkvState one = start;
  RwkvState other = start;
  const Feed feeds[] = {{std::span(ids).first(1), &one, few, 1},
                        {std::span(ids).last(1), &other, all}};
  ASSERT_TRUE(runner.feed(feeds));
  EXPECT_EQ(all, alone);
}

TEST_F(HeadScreen, ABasisThatIsTooLongIsRefused) {
  test::MemoryPages pages = screened({Format::kF32, Format::kF32, 4}, 5);
  pages.remove("head.screen.basis");
  pages.add("head.screen.basis", {.rows = 4, .cols = kWidth}, std::vector<float>(4 * kWidth, 0.5F));
  const auto model = Model::open(pages);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Errc::kCorrupt);
  EXPECT_EQ(model.error().where, "tensor head.screen.basis");
}

// An order and clusters by hand: what is not looked into has one logit, so that the clusters'
// probabilities are as their head says.
TEST(HierarchicalHead, UnknownTokensShareWhatTheirClusterHas) {
  test::MemoryPages pages = test::random_model(Format::kF32, config(), 3);
  std::vector<float> order(kVocab);
  for (std::uint32_t i = 0; i < kVocab; ++i) order[i] = static_cast<float>(i * 10 % kVocab);
  pages.add("head.order", {.cols = kVocab}, order);
  const std::vector<float> first = {0, 50, 133, kVocab};
  const std::vector<float> bias = {0.3F, -0.2F, 0.1F};
  pages.add("head.clusters.weight", {.rows = 3, .cols = kWidth},
            std::vector<float>(3 * kWidth, 0.0F));
  pages.add("head.clusters.bias", {.cols = 3}, bias);
  pages.add("head.clusters.first", {.cols = 4}, first);
  pages.add("head.clusters.rule", {.cols = 3}, std::vector<float>{0.1F, 1, 3});
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  SerialParallel serial;
  Runner runner(**model, serial);
  RwkvState state((*model)->config());
  std::vector<float> logits(kVocab);
  const TokenId id = 5;
  ASSERT_TRUE(runner.step(id, state, logits));
  double all = 0;
  std::vector<double> mass(3);
  for (std::size_t j = 0; j < 3; ++j) {
    const auto from = static_cast<std::uint32_t>(first[j]);
    for (std::uint32_t i = from; i < static_cast<std::uint32_t>(first[j + 1]); ++i) {
      const float logit = logits[static_cast<std::size_t>(order[i])];
      mass[j] += std::exp(double{logit});
      if (j != 0) EXPECT_EQ(logit, logits[static_cast<std::size_t>(order[from])]);
    }
    all += mass[j];
  }
  double weights = 0;
  for (const float each : bias) weights += std::exp(double{each});
  for (std::size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(mass[j] / all, std::exp(double{bias[j]}) / weights, 1e-5) << j;
  }
}

TEST(HierarchicalHead, ARuleOrClustersThatMakeNoSenseAreRefused) {
  const auto opened = [](std::vector<float> first, std::vector<float> rule) {
    test::MemoryPages pages = test::random_model(Format::kF32, config(), 3);
    pages.add("head.clusters.weight", {.rows = 2, .cols = kWidth},
              std::vector<float>(2 * kWidth, 0.0F));
    pages.add("head.clusters.bias", {.cols = 2}, std::vector<float>(2));
    pages.add("head.clusters.first", {.cols = 3}, first);
    pages.add("head.clusters.rule", {.cols = 3}, rule);
    return Model::open(pages).has_value();
  };
  EXPECT_TRUE(opened({0, 10, kVocab}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 10, 300}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 0, kVocab}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 10.5F, kVocab}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 10, kVocab}, {0, 1, 2}));
  EXPECT_FALSE(opened({0, 10, kVocab}, {0.5F, 2, 1}));
  EXPECT_FALSE(opened({0, 10, kVocab}, {0.5F, 1, 3}));
}

}  // namespace
}  // namespace skein
