#include "edge_node/generate/internal/pass_plan.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

namespace skein {
namespace {

std::vector<std::uint32_t> rows_of(const std::vector<std::size_t>& tokens) {
  std::vector<WaitingFeed> feeds;
  for (const std::size_t count : tokens) feeds.push_back({count});
  plan_pass(feeds);
  std::vector<std::uint32_t> rows;
  for (const WaitingFeed& feed : feeds) rows.push_back(feed.rows);
  return rows;
}

using Rows = std::vector<std::uint32_t>;

TEST(PassPlan, APromptAloneTakesTheWholePass) {
  EXPECT_EQ(rows_of({1000}), (Rows{kMostRows}));
  EXPECT_EQ(rows_of({7}), (Rows{7}));
  EXPECT_EQ(rows_of({1}), (Rows{1}));
  EXPECT_EQ(rows_of({}), Rows{});
}

TEST(PassPlan, PromptsTakeFewRowsBesideDecodedTokens) {
  EXPECT_EQ(rows_of({1000, 1}), (Rows{kSharedPromptRows, 1}));
  EXPECT_EQ(rows_of({1, 500, 1, 500}), (Rows{1, kSharedPromptRows / 2, 1, kSharedPromptRows / 2}));
}

TEST(PassPlan, WhatShortPromptsDoNotNeedGoesToLongOnes) {
  EXPECT_EQ(rows_of({1000, 4, 1000}), (Rows{30, 4, 30}));
  EXPECT_EQ(rows_of({1000, 1000, 1000}), (Rows{21, 21, 22}));
}

TEST(PassPlan, EverybodyGetsARowAndNobodyMoreThanFits) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::size_t> tokens(1 + random() % kMostRows);
    for (std::size_t& count : tokens) count = 1 + random() % (random() % 2 == 0 ? 2 : 300);
    const Rows rows = rows_of(tokens);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      ASSERT_GE(rows[i], 1U);
      ASSERT_LE(rows[i], tokens[i]);
    }
    ASSERT_LE(std::accumulate(rows.begin(), rows.end(), 0U), kMostRows);
  }
}

}  // namespace
}  // namespace skein
