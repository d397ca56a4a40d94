#include "edge_node/paging/residency_plan.h"

#include <gtest/gtest.h>

#include "tests/support/memory_pages.h"

namespace skein {
namespace {

const ModelConfig kConfig = {
    .layers = 4, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 1024, .vocab = 3000};

class Plans : public testing::Test {
 protected:
  const Manifest& manifest() const { return pages_.manifest(); }
  std::uint64_t least() const { return *smallest_budget(manifest(), {}); }
  ResidencyPlan plan(std::uint64_t budget) const {
    auto made = plan_residency(manifest(), {.budget = budget});
    CHECK(made.has_value());
    return std::move(*made);
  }
  test::MemoryPages pages_ = test::random_model(Format::kQ8, kConfig);
};

TEST_F(Plans, NeverGiveOutMoreThanTheBudget) {
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 77'777) {
    const ResidencyPlan made = plan(least() + more);
    EXPECT_LE(made.total(), least() + more) << more;
  }
}

TEST_F(Plans, ATooSmallBudgetSaysTheSmallestThatWorks) {
  const auto made = plan_residency(manifest(), {.budget = least() - 1});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(exit_code(made.error().code), 6);
  const std::uint64_t mib = (least() >> 20) + 2;
  EXPECT_NE(made.error().remedy.find(std::to_string(mib) + "M"), std::string::npos)
      << to_string(made.error());
  EXPECT_TRUE(plan_residency(manifest(), {.budget = mib << 20}));
}

TEST_F(Plans, WhatTheProcessHoldsAlreadyCounts) {
  const std::uint64_t held = 50'000'000;
  EXPECT_GE(*smallest_budget(manifest(), {.baseline = held}), least() + held);
}

TEST_F(Plans, ALargeBudgetPagesNothing) {
  const ResidencyPlan made = plan(std::uint64_t{1} << 30);
  EXPECT_FALSE(made.pages_anything());
  EXPECT_EQ(made.stream_slots, 0U);
  EXPECT_EQ(made.kept_rows, 0U);
}

TEST_F(Plans, MoreMemoryNeverMeansMoreReading) {
  std::uint64_t before = ~0ULL;
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 500'000) {
    const ResidencyPlan made = plan(least() + more);
    EXPECT_LE(made.streamed_per_token, before) << more;
    before = made.streamed_per_token;
  }
}

TEST_F(Plans, RowsAreKeptOnlyWhenEveryMatrixThatEachTokenNeedsIs) {
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 100'000) {
    const ResidencyPlan made = plan(least() + more);
    if (made.kept_rows > 2000) EXPECT_EQ(made.streamed_per_token, 0U) << more;
  }
}

TEST_F(Plans, LayersStreamAlike) {
  const ResidencyPlan made = plan(least() + 2'000'000);
  std::vector<std::uint32_t> pinned;
  for (std::size_t i = 0; i < manifest().tensors.size(); ++i) {
    if (manifest().tensors[i].name.ends_with("ffn.key.weight")) {
      pinned.push_back(made.tensors[i].pinned_segments);
    }
  }
  ASSERT_EQ(pinned.size(), 4U);
  const auto [low, high] = std::ranges::minmax(pinned);
  EXPECT_LE(high - low, 1U);
}

}  // namespace
}  // namespace skein
