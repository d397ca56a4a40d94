// A screen that comes and goes with a budget that changes while a session runs.
#include <gtest/gtest.h>

#include <cmath>

#include "edge_node/paging/weight_memory.h"
#include "tests/edge_node/paging/paged_model.h"
#include "tests/support/screened_model.h"

namespace skein {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
constexpr ModelConfig kShape = {
    .layers = 2, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 2048, .vocab = 6000};

TEST(ScreenInABudget, ComesAndGoesAndChangesNoAnswer) {
  RealEnv real({.compute_threads = 1, .log_level = LogLevel::kError});
  SerialParallel alone;
  test::MemoryPages pages =
      test::screened_model({Format::kBf16, Format::kQ8, 32, true, 0.01F}, kShape, 3);
  test::PagedModel stored(pages);
  const auto whole = Model::open(pages);
  ASSERT_TRUE(whole) << to_string(whole.error());
  const std::uint64_t least =
      *smallest_budget(stored.manifest(), {.alignment = BlockReads::kMostAlignment});
  WeightMemory memory(real.env(), {.budget = least + 64 * kMib});
  const auto budgeted = memory.look_at(stored.path(), stored.artifact().digest);
  ASSERT_TRUE(budgeted) << to_string(budgeted.error());
  std::unique_ptr<Model> model;
  std::optional<Runner> runner;
  Runner dense(**whole, alone);
  RwkvState state = (*whole)->initial_state(), expected = state;
  std::vector<float> logits(kShape.vocab), right(kShape.vocab);
  std::uint32_t held = 0, left_out = 0;
  const std::uint64_t floor = *memory.smallest();
  const std::uint64_t all[] = {least + 64 * kMib, floor, floor + 2 * kMib, floor + 1 * kMib,
                               floor + 4 * kMib,  floor};
  for (const std::uint64_t budget : all) {
    memory.set_budget(budget);
    for (TokenId token = 0; token < 4; ++token) {
      const auto stay = memory.enter(**budgeted, model.get());
      ASSERT_TRUE(stay) << to_string(stay.error());
      if (!model) {
        model = std::move(*Model::open(**budgeted));
        runner.emplace(*model, alone);
      }
      const Feed feed = {std::span(&token, 1), &state, logits, 1};
      ASSERT_TRUE(runner->feed(std::span(&feed, 1)));
      ASSERT_TRUE(dense.step(token, expected, right));
      ASSERT_EQ(state, expected);
      ASSERT_EQ(std::ranges::max_element(logits) - logits.begin(),
                std::ranges::max_element(right) - right.begin());
      for (std::uint32_t v = 0; v < kShape.vocab; ++v) {
        if (std::isfinite(logits[v])) ASSERT_EQ(logits[v], right[v]);
      }
      ++((*budgeted)->holds_screen() ? held : left_out);
    }
  }
  EXPECT_GE(held, 8U);
  EXPECT_GE(left_out, 4U);
  EXPECT_GT(memory.counters().tile_bytes, 0U);
}

}  // namespace
}  // namespace skein
