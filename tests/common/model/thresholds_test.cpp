// Neurons below their thresholds are silent: the same everywhere, and nothing where there are none.
#include <gtest/gtest.h>

#include <limits>

#include "common/model/model.h"
#include "kernels/ops/activations.h"
#include "tests/support/memory_pages.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

constexpr std::uint32_t kNeurons = 300;
const std::vector<TokenId> kTokens = {0, 5, 98, 17, 17, 42};

test::MemoryPages model_with(Format format, float threshold) {
  test::MemoryPages pages = test::random_model(format, test::small_config());
  for (const char* block : {"blocks.0.", "blocks.1."}) {
    pages.add(block + std::string(kValueThresholds), {.cols = kNeurons},
              std::vector<float>(kNeurons, threshold));
  }
  return pages;
}

struct Ran {
  std::vector<float> logits;
  std::uint64_t rows_read = 0;
};
// All tokens in one pass, or one by one.
Ran run(test::MemoryPages& pages, Parallel& parallel, bool at_once) {
  const auto model = Model::open(pages);
  EXPECT_TRUE(model) << to_string(model.error());
  Runner runner(**model, parallel);
  RwkvState state = (*model)->initial_state();
  Ran ran{std::vector<float>((*model)->config().vocab)};
  if (at_once) {
    const Feed feed = {kTokens, &state, ran.logits};
    EXPECT_TRUE(runner.feed(std::span(&feed, 1)));
  } else {
    for (const TokenId token : kTokens) EXPECT_TRUE(runner.step(token, state, ran.logits));
  }
  ran.rows_read = runner.counters().value_rows_read;
  return ran;
}

TEST(Thresholds, OfZeroChangeNoBit) {
  SerialParallel serial;
  for (const Format format : {Format::kF32, Format::kQ8, Format::kQ4}) {
    test::MemoryPages plain = test::random_model(format, test::small_config());
    test::MemoryPages zero = model_with(format, 0);
    EXPECT_EQ(run(plain, serial, false).logits, run(zero, serial, false).logits);
  }
}

TEST(Thresholds, SilenceNeuronsWhoseRowsAreThenNotRead) {
  SerialParallel serial;
  test::MemoryPages some = model_with(Format::kQ8, 0.5F);
  test::MemoryPages none = model_with(Format::kQ8, 0);
  test::MemoryPages all = model_with(Format::kQ8, 1e30F);
  EXPECT_LT(run(some, serial, false).rows_read, run(none, serial, false).rows_read);
  EXPECT_GT(run(some, serial, false).rows_read, 0U);
  EXPECT_EQ(run(all, serial, false).rows_read, 0U);
}

TEST(Thresholds, GiveTheSameBitsForAnyThreadsAndPass) {
  for (const Format format : {Format::kF32, Format::kQ4}) {
    test::MemoryPages pages = model_with(format, 0.4F);
    SerialParallel serial;
    test::ShuffledParallel shuffled;
    const Ran first = run(pages, serial, false);
    EXPECT_EQ(first.logits, run(pages, shuffled, true).logits);
    EXPECT_EQ(first.logits, run(pages, shuffled, false).logits);
  }
}

TEST(Thresholds, BelowZeroOrNoNumberAreRefusedByName) {
  for (const float wrong : {-1.0F, std::numeric_limits<float>::quiet_NaN()}) {
    test::MemoryPages pages = model_with(Format::kF32, wrong);
    const auto refused = Model::open(pages);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().where.find("blocks.0.ffn.value.thresholds"), std::string::npos);
  }
}

TEST(Thresholds, AreComparedElementByElement) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x = {1.0F, 2.0F, 0.0F, nan};
  silence_below(std::vector<float>{1.0F, 2.5F, 1.0F, 1.0F}, x);
  EXPECT_EQ(x[0], 1.0F);
  EXPECT_EQ(x[1], 0.0F);
  EXPECT_EQ(x[2], 0.0F);
  EXPECT_TRUE(std::isnan(x[3]));
}

}  // namespace
}  // namespace skein
