#include "coordinator/compress/compression_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace skein {
namespace {

CompressionPlan made(const CompressionRequest& request) {
  const auto plan = CompressionPlan::make(request);
  EXPECT_TRUE(plan) << to_string(plan.error());
  return *plan;
}

using Rounding = CompressionPlan::Rounding;

TEST(CompressionPlan, WithoutAWishEveryMatrixIsRoundedToTheNearestOfEightBits) {
  const CompressionPlan plan = made({});
  EXPECT_EQ(plan.format, Format::kQ8);
  EXPECT_EQ(plan.rounding, Rounding::kNearest);
  EXPECT_FALSE(plan.calibrates());
  EXPECT_EQ(plan.steps().size(), 2U);
}

TEST(CompressionPlan, ATextIsGivenToBeLearnedFrom) {
  CompressionRequest request;
  request.settings = {"quantize.format=q5"};
  request.calibration = "book.txt";
  const CompressionPlan plan = made(request);
  EXPECT_EQ(plan.rounding, Rounding::kErrorFeedback);
  EXPECT_EQ(plan.format, Format::kQ5);
  EXPECT_FALSE(plan.allocates());
  EXPECT_NE(plan.steps().front().find("book.txt"), std::string::npos);
}

TEST(CompressionPlan, PresetsAreBudgetsOfLossAndBits) {
  CompressionRequest request;
  request.preset = "balanced";
  const CompressionPlan balanced = made(request);
  EXPECT_NEAR(std::expm1(*balanced.most_loss), 0.004, 1e-12);
  EXPECT_EQ(balanced.resident_bits, 4.6);
  EXPECT_EQ(balanced.counted(), Counted::kResident);
  EXPECT_EQ(balanced.entropy->bits, 3.6);
  EXPECT_EQ(balanced.pages, PageCoding::kCoded);
  EXPECT_TRUE(balanced.has_feedback());
  request.only = {"quantize"};
  EXPECT_EQ(made(request).bits_per_weight, 4.6);
  EXPECT_FALSE(made(request).entropy);
  request.only = {};
  request.preset = "near-lossless";
  const CompressionPlan near = made(request);
  EXPECT_NEAR(std::expm1(*near.most_loss), 0.0005, 1e-12);
  EXPECT_EQ(near.bits_per_weight, 6.6);
  EXPECT_FALSE(near.head || near.embedding || near.prune);
  request.preset = "small";
  const CompressionPlan small = made(request);
  EXPECT_NEAR(std::expm1(*small.most_loss), 0.03, 1e-12);
  EXPECT_TRUE(small.embedding && small.prune);
  EXPECT_FALSE(small.head) << "its sketch takes memory";
  EXPECT_EQ(small.prune->ratio, 0.3);
}

TEST(CompressionPlan, EntropyAimsAtBitsOnceCoded) {
  CompressionRequest request;
  request.only = {"entropy"};
  EXPECT_TRUE(made(request).only_pages);
  request.settings = {"entropy.bits=3.2", "entropy.lambda=0.05", "entropy.exponent=0.5"};
  request.bits_per_weight = 4.6;
  const CompressionPlan plan = made(request);
  EXPECT_EQ(plan.entropy->bits, 3.2);
  EXPECT_EQ(plan.entropy->price, 0.05);
  EXPECT_EQ(plan.entropy->exponent, 0.5);
  EXPECT_TRUE(plan.has_feedback());
  EXPECT_NE(plan.pages, PageCoding::kPlain);
  EXPECT_FALSE(plan.only_pages);
  EXPECT_NE(plan.steps()[3].find("entropy: steps for 3.200 bits"), std::string::npos);
  EXPECT_FALSE(made({}).entropy);
}

TEST(CompressionPlan, WhatEntropyCannotGoWithIsRefused) {
  CompressionRequest request;
  request.settings = {"entropy.bits=3.6"};
  const auto refused_at = [](const CompressionRequest& asked) {
    const auto plan = CompressionPlan::make(asked);
    EXPECT_FALSE(plan);
    return plan ? "" : plan.error().where;
  };
  CompressionRequest other = request;
  other.only = {"quantize"};
  EXPECT_EQ(refused_at(other), "--only");
  other = request;
  other.preset = "balanced";
  EXPECT_EQ(refused_at(other), "--preset");
  other = request;
  other.bits_per_weight = 3.5;
  EXPECT_EQ(refused_at(other), "--bits-per-weight");
  other.settings = {"entropy.lambda=0.1"};
  EXPECT_EQ(refused_at(other), "--set entropy");
  for (const char* const wrong : {"entropy.bits=0.5", "entropy.lambda=2", "entropy.exponent=x"}) {
    other.settings = {wrong};
    EXPECT_TRUE(refused_at(other).starts_with("--set entropy.")) << wrong;
  }
}

TEST(CompressionPlan, AMemoryBudgetDoesNotCountTheEmbedding) {
  CompressionRequest request;
  request.memory_budget = 1 << 20;
  EXPECT_EQ(made(request).counted(), Counted::kResident);
  request.memory_budget = {};
  request.bits_per_weight = 5;
  EXPECT_EQ(made(request).counted(), Counted::kAll);
}

TEST(CompressionPlan, StructureComesBeforeFormatsAndWhatRoundingMissedAfterThem) {
  CompressionRequest request;
  request.settings = {"prune.ratio=0.1", "lowrank.factor=4"};
  const CompressionPlan both = made(request);
  EXPECT_TRUE(both.quantizes && both.calibrates());
  ASSERT_EQ(both.steps().size(), 6U);
  EXPECT_EQ(both.steps()[1].find("prune: 10 %"), 0U) << both.steps()[1];
  EXPECT_EQ(both.steps()[2].find("lowrank: r, k, v"), 0U) << both.steps()[2];
  request.settings = {"lowrank.compensate=16"};
  const CompressionPlan residual = made(request);
  ASSERT_EQ(residual.steps().size(), 5U);
  EXPECT_EQ(residual.steps()[3].find("lowrank: what rounding missed"), 0U);
  request.settings = {};
  request.only = {"prune"};
  const CompressionPlan alone = made(request);
  EXPECT_FALSE(alone.quantizes);
  EXPECT_EQ(alone.prune->ratio, 0.05);
  EXPECT_EQ(alone.steps().size(), 3U);
}

TEST(CompressionPlan, ContradictionsAreRefusedWithTheReason) {
  struct {
    CompressionRequest request;
    std::string part;
  } cases[25];
  std::size_t count = 0;
  const auto add = [&](const std::string& part) -> CompressionRequest& {
    cases[count].part = part;
    return cases[count++].request;
  };
  add("no preset 'huge'").preset = "huge";
  add("no technique 'distill'").only = {"quantize", "distill"};
  CompressionRequest& alone = add("leaves out prune");
  alone.only = {"quantize"};
  alone.settings = {"prune.ratio=0.1"};
  CompressionRequest& unformatted = add("leaves out quantize");
  unformatted.only = {"prune"};
  unformatted.settings = {"quantize.format=q4"};
  CompressionRequest& nothing_missed = add("leaves out quantize");
  nothing_missed.only = {"lowrank"};
  nothing_missed.settings = {"lowrank.compensate=8"};
  CompressionRequest& after = add("after the budget");
  after.settings = {"lowrank.compensate=8"};
  after.bits_per_weight = 5;
  add("kept and made good").settings = {"lowrank.compensate=8", "lowrank.factor=4"};
  add("each say which rank").settings = {"lowrank.ratio=0.2", "lowrank.factor=4"};
  add("of which only those that fire").settings = {"lowrank.targets=r,ffn.key"};
  add("named once").settings = {"lowrank.targets=r,r"};
  add("keeps more neurons").settings = {"prune.ratio=0.6", "prune.guard=0.6"};
  add("is not known here").settings = {"prune.score=luck"};
  add("not a number that fits").settings = {"prune.ratio=0.95"};
  add("not a switch").settings = {"prune.compensate=maybe"};
  CompressionRequest& two = add("two budgets");
  two.bits_per_weight = 5;
  two.memory_budget = 100;
  CompressionRequest& preset = add("a budget of loss");
  preset.preset = "balanced";
  preset.bits_per_weight = 5;
  CompressionRequest& format = add("nothing to choose");
  format.settings = {"quantize.format=q4"};
  format.bits_per_weight = 5;
  add("so few bits").bits_per_weight = 0;
  CompressionRequest& nearest = add("learns nothing");
  nearest.settings = {"quantize.method=nearest"};
  nearest.calibration = "book.txt";
  add("reads no text").settings = {"calibration.ids=1024"};
  add("no damping").settings = {"quantize.damping=0.1"};
  add("for a budget only").settings = {"sensitivity.ids=1024"};
  add("not a share").settings = {"quantize.damping=0"};
  add("not a number of ids").settings = {"calibration.ids=5"};
  add("not a way of rounding").settings = {"quantize.method=best"};
  for (std::size_t i = 0; i < count; ++i) {
    const auto refused = CompressionPlan::make(cases[i].request);
    ASSERT_FALSE(refused) << cases[i].part;
    EXPECT_EQ(refused.error().code, Errc::kUsage);
    EXPECT_NE(refused.error().what.find(cases[i].part), std::string::npos)
        << to_string(refused.error());
    EXPECT_FALSE(refused.error().remedy.empty());
  }
}

TEST(CompressionPlan, HeadAndEmbeddingComeWhenTheyAreNamedOrSet) {
  EXPECT_FALSE(made({}).head);
  EXPECT_FALSE(made({}).embedding);
  CompressionRequest request;
  request.only = {"head"};
  EXPECT_TRUE(made(request).only_head());
  EXPECT_FALSE(made(request).quantizes);
  request.only = {};
  request.settings = {"head.method=clusters", "head.mass=0.8", "embedding.format=q6"};
  const CompressionPlan plan = made(request);
  EXPECT_TRUE(plan.quantizes);
  EXPECT_EQ(plan.head->method, HeadPlan::Method::kClusters);
  EXPECT_EQ(plan.head->mass, 0.8);
  EXPECT_EQ(plan.embedding->format, Format::kQ6);
  const auto said = [&](std::string_view part) {
    return std::ranges::any_of(plan.steps(), [&](const std::string& step) {
      return step.find(part) != std::string::npos;
    });
  };
  EXPECT_TRUE(said("embedding: ln0 folded into its rows, q6"));
  EXPECT_TRUE(said("head: hierarchical"));
  EXPECT_TRUE(said("looked into until they have 80 %"));
  EXPECT_TRUE(said("calibrate:"));
}

TEST(CompressionPlan, WhatHeadAndEmbeddingCannotGoWithIsRefused) {
  struct Case {
    std::vector<std::string> only, settings;
    std::string where;
  };
  const Case cases[] = {
      {{"quantize"}, {"head.rank=4"}, "--only"},
      {{"quantize"}, {"embedding.format=q8"}, "--only"},
      {{}, {"head.mass=0.9"}, "--set head.mass"},
      {{}, {"head.method=clusters", "head.rank=8"}, "--set head.rank"},
      {{}, {"head.method=clusters", "head.least=9", "head.most=4"}, "--set head.least"},
      {{}, {"head.method=guess"}, "--set head.method"},
      {{}, {"head.clusters=0"}, "--set head.clusters"},
      {{}, {"head.mass=1.5"}, "--set head.mass"},
      {{}, {"head.format=q3"}, "--set head.format"},
      {{}, {"embedding.format=q7"}, "--set embedding.format"}};
  for (const Case& each : cases) {
    CompressionRequest request;
    request.only = each.only;
    request.settings = each.settings;
    const auto plan = CompressionPlan::make(request);
    ASSERT_FALSE(plan) << each.where;
    EXPECT_EQ(plan.error().code, Errc::kUsage);
    EXPECT_EQ(plan.error().where, each.where);
    EXPECT_FALSE(plan.error().remedy.empty());
  }
}

}  // namespace
}  // namespace skein
