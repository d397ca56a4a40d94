// Every technique alone and all together, on the tiny bf16 model: what a plan chooses, in which
// order, and that an artifact costs what it says it costs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "common/delta/delta.h"
#include "common/model/evaluate.h"
#include "common/model/weights.h"
#include "common/predict/neuron_predictor.h"
#include "coordinator/compress/press.h"
#include "kernels/isa/isa.h"
#include "tests/support/golden_model.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

class Techniques : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(select_isa("")); }
  static void TearDownTestSuite() { ASSERT_TRUE(select_isa("scalar")); }
  CompressionPlan plan(std::vector<std::string> only, std::vector<std::string> settings) {
    CompressionRequest request;
    request.only = std::move(only);
    request.settings = std::move(settings);
    const auto made = CompressionPlan::make(request);
    EXPECT_TRUE(made) << to_string(made.error());
    CompressionPlan plan = *made;
    plan.calibration_ids = 512;
    return plan;
  }
  PressResult pressed(const CompressionPlan& plan) {
    auto result = press({.checkpoint = checkpoint_,
                         .convert = {.name = "m", .version = "v1"},
                         .text = {},
                         .held_out = held_out_,
                         .parallel = serial_},
                        plan);
    EXPECT_TRUE(result) << to_string(result.error());
    return std::move(*result);
  }
  double perplexity_of(PageSource& pages) {
    const auto model = Model::open(pages);
    EXPECT_TRUE(model) << to_string(model.error());
    const auto found = evaluate(**model, serial_, held_out_, 512);
    EXPECT_TRUE(found);
    return std::exp(found->nll / static_cast<double>(found->tokens));
  }
  static std::string noted(double after, double before) {
    std::ostringstream text;
    text << std::fixed << std::setprecision(6) << "perplexity " << after << " (was " << before;
    return text.str();
  }
  static std::vector<TokenId> some_ids() {
    std::vector<TokenId> ids;
    for (TokenId i = 0; i < 600; ++i) ids.push_back((i * i * 7 + i * 3 + 5) % 128);
    return ids;
  }

  SerialParallel serial_;
  Buffer file_ = test::golden_file("tiny-128-bf16.safetensors");
  Checkpoint checkpoint_ = *read_checkpoint(file_, "golden");
  std::vector<TokenId> held_out_ = some_ids();
};

TEST_F(Techniques, AloneOrTogetherTheNotedPerplexityIsWhatEvaluateFinds) {
  const auto exact = convert(checkpoint_, {});
  ASSERT_TRUE(exact);
  const double before = perplexity_of(**exact);
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> all = {
      {{"prune"}, {"prune.ratio=0.3"}},
      {{"lowrank"}, {"lowrank.factor=4"}},
      {{"quantize"}, {"quantize.format=q4"}},
      {{"sparsity"}, {"sparsity.cett=0.1"}},
      {{"sparsity"}, {}},
      {{"prune", "lowrank", "quantize", "sparsity", "entropy"},
       {"prune.ratio=0.3", "lowrank.factor=4", "quantize.format=q5", "sparsity.cett=0.05"}}};
  for (const auto& [only, settings] : all) {
    const PressResult result = pressed(plan(only, settings));
    ASSERT_TRUE(result.measured) << only[0];
    const double after = perplexity_of(*result.artifact);
    EXPECT_EQ(result.measured->perplexity_after, after) << only[0];
    EXPECT_EQ(result.measured->perplexity_before, before) << only[0];
    const auto& notes = result.artifact->manifest().techniques;
    const std::string note = noted(after, before);
    const auto says = [&](const std::string& text) { return text.starts_with(note); };
    EXPECT_EQ(std::ranges::count_if(notes, says), 1) << note;
    EXPECT_EQ(*result.techniques.back().perplexity_after, after) << only[0];
  }
}

TEST_F(Techniques, TogetherEachGoesOnFromWhatTheOneBeforeItLeft) {
  const PressResult result =
      pressed(plan({"prune", "lowrank", "quantize", "sparsity"},
                   {"prune.ratio=0.3", "lowrank.factor=4", "sparsity.cett=0.1"}));
  std::vector<std::string> names;
  for (const TechniqueReport& technique : result.techniques) names.push_back(technique.name);
  EXPECT_EQ(names, (std::vector<std::string>{"prune", "lowrank", "quantize", "sparsity"}));
  for (std::size_t i = 1; i < result.techniques.size(); ++i) {
    const TechniqueReport& last = result.techniques[i - 1];
    EXPECT_EQ(result.techniques[i].perplexity_before, last.perplexity_after);
    EXPECT_EQ(result.techniques[i].bytes_before, last.bytes_after);
  }
}

TEST_F(Techniques, LayersOfDifferentWidthsHaveThresholdsAndPredictorsOfTheirOwn) {
  const PressResult result =
      pressed(plan({"prune", "sparsity"}, {"prune.ratio=0.3", "sparsity.cett=0.1",
                                           "sparsity.predictor=previous+sign+sketch+key+mlp"}));
  ASSERT_EQ(result.pruned.size(), 3U);
  EXPECT_NE(result.pruned[0].neurons, result.pruned[2].neurons);
  const auto model = Model::open(*result.artifact);
  ASSERT_TRUE(model) << to_string(model.error());
  std::vector<MatrixView> keys;
  for (const LayerWeights& layer : (*model)->weights().layers) {
    EXPECT_EQ(layer.ffn.thresholds.size(), layer.ffn.key.rows());
    keys.push_back(layer.ffn.key.view());
  }
  const auto predictor = NeuronPredictor::open(*result.artifact, keys);
  ASSERT_TRUE(predictor) << to_string(predictor.error());
  for (std::uint32_t layer = 0; layer < 3; ++layer) {
    const std::uint32_t neurons = result.pruned[layer].neurons;
    const std::vector<float> nothing((*model)->config().width, 0.5F);
    const std::vector<float> recent(neurons, 0.1F);
    std::vector<float> scores(neurons);
    (*predictor)->score({LayerIndex(layer), nothing, nothing, recent}, scores);
    for (const float score : scores) EXPECT_TRUE(std::isfinite(score));
    EXPECT_GT(result.sparsity->layers[layer].all.recall, 0.5);
  }
}

TEST_F(Techniques, WithoutQuantizeAQuantizedModelIsRefusedRatherThanMadeFloat) {
  const PressResult q4 = pressed(plan({"quantize"}, {"quantize.format=q4"}));
  std::vector<Buffer> storage;
  const auto again = tensors_of(*q4.artifact, storage);
  ASSERT_TRUE(again);
  for (const char* technique : {"prune", "lowrank", "sparsity"}) {
    const auto refused = press({.checkpoint = *again,
                                .convert = {},
                                .text = {},
                                .held_out = held_out_,
                                .parallel = serial_,
                                .pages = q4.artifact.get()},
                               plan({technique}, {}));
    ASSERT_FALSE(refused) << technique;
    EXPECT_NE(refused.error().what.find("without quantize"), std::string::npos);
  }
}

TEST_F(Techniques, APatchMakesAnUnevenFactoredModelWithThresholdsAgain) {
  const auto exact = convert(checkpoint_, {});
  const PressResult target =
      pressed(plan({"prune", "lowrank", "sparsity"},
                   {"prune.ratio=0.3", "lowrank.factor=4", "sparsity.cett=0.1"}));
  EXPECT_EQ(perplexity_of(*target.artifact), target.measured->perplexity_after);
  const SignedManifest manifest = sign_manifest(target.artifact->manifest(), std::nullopt);
  const auto patch = make_patch(**exact, *target.artifact, manifest);
  ASSERT_TRUE(patch) << to_string(patch.error());
  const auto made = apply_patch(**exact, patch->bytes, "patch");
  ASSERT_TRUE(made) << to_string(made.error());
  EXPECT_EQ((*made)->manifest(), target.artifact->manifest());
  for (std::uint32_t i = 0; i < target.artifact->manifest().pages.size(); ++i) {
    const auto page = (*made)->page(PageIndex(i));
    ASSERT_TRUE(page);
    EXPECT_TRUE(std::ranges::equal(*page, target.artifact->page_bytes(PageIndex(i)))) << i;
  }
}

TEST_F(Techniques, WhatIsAskedForAndLeftOutIsRefused) {
  const auto refused = [](std::vector<std::string> only, std::vector<std::string> settings) {
    CompressionRequest request;
    request.only = std::move(only);
    request.settings = std::move(settings);
    const auto plan = CompressionPlan::make(request);
    return plan ? std::string() : to_string(plan.error());
  };
  const auto names = [&](const std::string& technique, const std::string& setting) {
    const std::string told = refused({technique == "prune" ? "lowrank" : "prune"}, {setting});
    return told.contains("leaves out " + technique);
  };
  EXPECT_TRUE(names("prune", "prune.ratio=0.1"));
  EXPECT_TRUE(names("lowrank", "lowrank.factor=4"));
  EXPECT_TRUE(names("quantize", "quantize.format=q4"));
  EXPECT_TRUE(names("sparsity", "sparsity.cett=0.1"));
  EXPECT_TRUE(names("entropy", "entropy.pages=coded"));
  EXPECT_EQ(refused({"entropy"}, {"entropy.pages=plain"}), "");
  EXPECT_NE(refused({"entropy"}, {"calibration.ids=512"}), "");
}

TEST_F(Techniques, ThePlanSaysTheOrder) {
  const CompressionPlan all =
      plan({"entropy", "sparsity", "quantize", "lowrank", "prune"}, {"sparsity.cett=0.1"});
  EXPECT_FALSE(all.only_pages);
  const std::vector<std::string> steps = all.steps();
  std::size_t next = 0;
  for (const std::string_view wanted :
       {"calibrate:", "sparsity: neurons in a new order", "prune:", "lowrank:", "formats:",
        "quantize:", "sparsity: thresholds", "sparsity: a predictor", "measure:", "entropy:"}) {
    ASSERT_LT(next, steps.size());
    EXPECT_TRUE(steps[next].starts_with(wanted)) << steps[next] << " where " << wanted;
    ++next;
  }
  EXPECT_EQ(next, steps.size());
  EXPECT_EQ(plan({"prune", "entropy"}, {}).pages, PageCoding::kCoded);
  EXPECT_FALSE(plan({"prune", "entropy"}, {}).only_pages);
}

}  // namespace
}  // namespace skein
