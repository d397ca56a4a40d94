// The technique `sparsity`, on the tiny bf16 model: thresholds, order, predictors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/model/evaluate.h"
#include "coordinator/compress/internal/neuron_order.h"
#include "coordinator/compress/internal/predictor_training.h"
#include "coordinator/compress/internal/silence.h"
#include "coordinator/compress/internal/sparsity_stage.h"
#include "coordinator/compress/press.h"
#include "kernels/isa/isa.h"
#include "tests/support/golden_model.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

class Sparsity : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(select_isa("")); }
  static void TearDownTestSuite() { ASSERT_TRUE(select_isa("scalar")); }
  CompressionPlan plan(std::vector<std::string> settings, bool quantize = false) {
    CompressionRequest request;
    request.only = {"sparsity"};
    if (quantize) request.only.push_back("quantize");
    request.settings = std::move(settings);
    const auto made = CompressionPlan::make(request);
    EXPECT_TRUE(made) << to_string(made.error());
    CompressionPlan plan = *made;
    plan.calibration_ids = 2048;
    plan.held_out_ids = 1024;
    return plan;
  }
  PressResult pressed(const CompressionPlan& plan, Parallel& parallel) {
    auto result = press({.checkpoint = checkpoint_,
                         .convert = {.name = "m", .version = "v1"},
                         .text = {},
                         .held_out = {},
                         .parallel = parallel},
                        plan);
    EXPECT_TRUE(result) << to_string(result.error());
    return std::move(*result);
  }
  PressResult pressed(const CompressionPlan& plan) { return pressed(plan, serial_); }
  static Digest digest_of(const PressResult& result) {
    return manifest_digest(encode_manifest(result.artifact->manifest()));
  }
  std::vector<float> logits_of(PageSource& pages) {
    const auto model = *Model::open(pages);
    Runner runner(*model, serial_);
    RwkvState state = model->initial_state();
    std::vector<float> logits(model->config().vocab);
    for (const TokenId token : {0U, 5U, 9U, 17U, 3U}) {
      EXPECT_TRUE(runner.step(token, state, logits));
    }
    return logits;
  }

  SerialParallel serial_;
  Buffer file_ = test::golden_file("tiny-128-bf16.safetensors");
  Checkpoint checkpoint_ = *read_checkpoint(file_, "golden");
};

TEST_F(Sparsity, NothingAskedForChangesNothing) {
  const PressResult kept =
      pressed(plan({"sparsity.cett=0", "sparsity.order=off", "sparsity.predictor=off"}));
  const auto imported = press(checkpoint_, {.name = "m", .version = "v1"});
  ASSERT_TRUE(imported);
  EXPECT_EQ(digest_of(kept), digest_of(*imported));
}

TEST_F(Sparsity, ThresholdsSilenceMoreWithinTheirBudget) {
  double before = 0;
  for (const char* budget : {"0.05", "0.2"}) {
    const PressResult result = pressed(plan(
        {std::string("sparsity.cett=") + budget, "sparsity.order=off", "sparsity.predictor=off"}));
    ASSERT_TRUE(result.sparsity);
    double zeros = 0;
    for (const LayerSparsity& layer : result.sparsity->layers) {
      EXPECT_GE(layer.zero_rate, layer.zero_rate_before);
      EXPECT_GT(layer.tail_truncation, 0);
      EXPECT_LT(layer.tail_truncation, 1.3 * std::stod(budget));  // on text that is new
      zeros += layer.zero_rate;
    }
    EXPECT_GT(zeros, before);
    before = zeros;
  }
}

TEST_F(Sparsity, WhatItSaysItCostIsWhatTheArtifactCosts) {
  const PressResult result = pressed(plan({"sparsity.cett=0.1", "sparsity.predictor=previous"}));
  ASSERT_TRUE(result.measured);
  const auto& techniques = result.artifact->manifest().techniques;
  const auto notes = std::ranges::count_if(
      techniques, [](const std::string& text) { return text.starts_with("perplexity "); });
  EXPECT_EQ(notes, 1);
  EXPECT_NE(std::ranges::find(techniques, "sparsity-cett 0.100"), techniques.end());
  EXPECT_NE(std::ranges::find(techniques, "sparsity-order"), techniques.end());
}

TEST_F(Sparsity, AnotherOrderIsTheSameModel) {
  const PressResult ordered = pressed(plan({"sparsity.order=hot", "sparsity.predictor=off"}));
  const auto plain = press(checkpoint_, {.name = "m", .version = "v1"});
  const std::vector<float> now = logits_of(*ordered.artifact);
  const std::vector<float> then = logits_of(*plain->artifact);
  EXPECT_NE(now, then);  // sums are rounded in another order
  for (std::size_t i = 0; i < now.size(); ++i) {
    EXPECT_NEAR(now[i], then[i], 1e-5 * std::max(1.0F, std::fabs(then[i])));
  }
}

TEST_F(Sparsity, TheSameInputGivesTheSameArtifactForAnyThreads) {
  const CompressionPlan all =
      plan({"sparsity.cett=0.05", "sparsity.order=hot", "sparsity.predictor=mlp+sign+sketch"});
  test::ShuffledParallel shuffled;
  EXPECT_EQ(digest_of(pressed(all)), digest_of(pressed(all, shuffled)));
}

TEST_F(Sparsity, APredictorKnowsMoreThanFrequencies) {
  const PressResult previous = pressed(plan({"sparsity.order=off", "sparsity.predictor=previous"}));
  const PressResult key = pressed(plan({"sparsity.order=off", "sparsity.predictor=key"}));
  for (std::size_t i = 0; i < key.sparsity->layers.size(); ++i) {
    const PredictorQuality& knows = key.sparsity->layers[i].all;
    EXPECT_NEAR(knows.recall, 0.9, 0.08) << i;
    EXPECT_GT(knows.precision, previous.sparsity->layers[i].all.precision) << i;
  }
  EXPECT_EQ(key.sparsity->predictor, "key");
}

TEST_F(Sparsity, PressedAgainAPredictorIsMadeAnewNotKept) {
  const PressResult first = pressed(plan({"sparsity.cett=0.1", "sparsity.predictor=sketch"}));
  std::vector<Buffer> storage;
  const auto again = tensors_of(*first.artifact, storage);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->tensors.size(), checkpoint_.tensors.size());
}

// Neurons that fire together, at every third token each.
LayerActivity planted_activity() {
  LayerActivity activity;
  activity.windows = 4;
  activity.fired = RowMatrix::Zero(240, 96);
  for (Eigen::Index token = 0; token < 240; ++token) {
    for (Eigen::Index i = 0; i < 96; ++i) {
      const bool hot = i % 8 == 3 && (token + i) % 2 == 0;
      const bool fires = hot || (i % 6 == token % 6 && i % 8 != 3);
      activity.fired(token, i) = fires ? 1.0F : 0.0F;
    }
  }
  return activity;
}

TEST(NeuronOrder, IsAPermutationWithTheHotOnesFirst) {
  const LayerActivity activity = planted_activity();
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  const auto order = hot_first_order(activity, serial);
  EXPECT_EQ(order, hot_first_order(activity, shuffled));
  std::vector<std::uint32_t> sorted = order;
  std::ranges::sort(sorted);
  for (std::uint32_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], i);
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(order[i] % 8, 3U) << i;
}

TEST(NeuronOrder, WhatFiresTogetherTouchesFewerBlocks) {
  const LayerActivity activity = planted_activity();
  SerialParallel serial;
  const BlockTouches before = block_touches(activity, {}, 512);
  const BlockTouches after = block_touches(activity, hot_first_order(activity, serial), 512);
  EXPECT_EQ(before.blocks, 12U);
  EXPECT_LT(after.touched, 0.8 * before.touched);
}

TEST(NeuronOrder, ARowAcrossTwoBlocksTouchesBoth) {
  LayerActivity activity;
  activity.windows = 1;
  activity.fired = RowMatrix::Zero(1, 3);
  activity.fired(0, 1) = 1;
  EXPECT_EQ(block_touches(activity, {}, 3000).touched, 2);
  EXPECT_EQ(block_touches(activity, {}, 4096).touched, 1);
}

TEST(SparsitySettings, ContradictionsAndOddValuesAreRefused) {
  const auto refused = [](std::vector<std::string> settings, std::vector<std::string> only) {
    CompressionRequest request;
    request.settings = std::move(settings);
    request.only = std::move(only);
    const auto plan = CompressionPlan::make(request);
    return plan ? std::string() : to_string(plan.error());
  };
  EXPECT_NE(refused({"sparsity.cett=0.9"}, {}), "");
  EXPECT_NE(refused({"sparsity.order=cold"}, {}), "");
  EXPECT_NE(refused({"sparsity.predictor=oracle"}, {}), "");
  EXPECT_NE(refused({"sparsity.predictor=mlp+mlp"}, {}), "");
  EXPECT_NE(refused({"sparsity.cett=0.1"}, {"quantize"}), "");
  EXPECT_NE(refused({"quantize.format=q4"}, {"sparsity"}), "");
  EXPECT_EQ(refused({"sparsity.cett=0.1", "sparsity.predictor=mlp+sign"}, {}), "");
}

TEST(SparsitySettings, ThePlanSaysWhatWillBeDone) {
  CompressionRequest request;
  request.settings = {"sparsity.cett=0.1", "sparsity.order=hot", "sparsity.predictor=mlp+sign"};
  const auto plan = CompressionPlan::make(request);
  ASSERT_TRUE(plan);
  const std::vector<std::string> steps = plan->steps();
  const auto says = [&](std::string_view text) {
    return std::ranges::any_of(steps, [&](const std::string& step) { return step.contains(text); });
  };
  EXPECT_TRUE(says("hot ones first"));
  EXPECT_TRUE(says("CETT at most 0.100"));
  EXPECT_TRUE(says("mlp+sign"));
}

}  // namespace
}  // namespace skein
