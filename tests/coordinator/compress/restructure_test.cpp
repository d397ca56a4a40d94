// Pruned and factored models as artifacts that run: written, opened, and giving what the same model
// in its full form gives.
#include <gtest/gtest.h>

#include <cmath>

#include "common/artifact/manifest.h"
#include "coordinator/compress/internal/changed_tensor.h"
#include "coordinator/compress/internal/factorization.h"
#include "coordinator/compress/internal/low_rank.h"
#include "coordinator/compress/internal/pruning.h"
#include "coordinator/compress/press.h"
#include "tests/support/golden_model.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

class Restructured : public testing::Test {
 protected:
  CompressionPlan plan(std::vector<std::string> settings, std::vector<std::string> only) {
    CompressionRequest request;
    request.settings = std::move(settings);
    request.only = std::move(only);
    const auto made = CompressionPlan::make(request);
    EXPECT_TRUE(made) << to_string(made.error());
    CompressionPlan plan = *made;
    plan.calibration_ids = 1024;
    plan.held_out_ids = 512;
    return plan;
  }
  Result<PressResult> press_with(const CompressionPlan& plan, Parallel& parallel) {
    return press({.checkpoint = checkpoint_,
                  .convert = {.name = "m", .version = "v1"},
                  .text = {},
                  .held_out = {},
                  .parallel = parallel},
                 plan);
  }
  PressResult pressed(const CompressionPlan& plan) {
    auto result = press_with(plan, serial_);
    EXPECT_TRUE(result) << to_string(result.error());
    return std::move(*result);
  }
  std::vector<float> logits_of(PageSource& pages) {
    const auto model = Model::open(pages);
    EXPECT_TRUE(model) << to_string(model.error());
    Runner runner(**model, serial_);
    RwkvState state = (*model)->initial_state();
    std::vector<TokenId> ids;
    for (TokenId id = 0; id < 40; ++id) ids.push_back(id * 5 % (*model)->config().vocab);
    std::vector<float> logits(ids.size() * (*model)->config().vocab);
    const Feed feed{ids, &state, logits};
    EXPECT_TRUE(runner.feed(std::span(&feed, 1)));
    return logits;
  }
  std::unique_ptr<MemoryArtifact> plain(const Checkpoint& checkpoint) {
    auto artifact = convert(checkpoint, {});
    EXPECT_TRUE(artifact) << to_string(artifact.error());
    return std::move(*artifact);
  }
  static Digest digest_of(const PressResult& result) {
    return manifest_digest(encode_manifest(result.artifact->manifest()));
  }
  static float largest_difference(std::span<const float> a, std::span<const float> b) {
    EXPECT_EQ(a.size(), b.size());
    float largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
  }

  SerialParallel serial_;
  Buffer file_ = test::golden_file("tiny-128-bf16.safetensors");
  Checkpoint checkpoint_ = *read_checkpoint(file_, "golden");
};

// The same with zeros in the place of what was taken out.
TEST_F(Restructured, LayersOfDifferentWidthsGiveWhatZeroedNeuronsGive) {
  const auto exact = plain(checkpoint_);
  const auto model = Model::open(*exact);
  const auto text = sample_text(**model, serial_, 2, 256, 3);
  const PrunePlan plan{.score = PrunePlan::Score::kNewton, .ratio = 0.3, .compensate = false};
  const auto pruned = prune(checkpoint_, **model, serial_, *text, plan, [](double, auto) {});
  ASSERT_TRUE(pruned) << to_string(pruned.error());
  Checkpoint zeroed = checkpoint_;
  std::vector<std::uint32_t> widths;
  for (std::uint32_t l = 0; l < (*model)->config().layers; ++l) {
    const std::string name = "blocks." + std::to_string(l) + ".ffn.";
    const CheckpointTensor& key = *find_tensor(pruned->checkpoint, name + "key.weight");
    const CheckpointTensor& full_key = *find_tensor(checkpoint_, name + "key.weight");
    const CheckpointTensor& full_value = *find_tensor(checkpoint_, name + "value.weight");
    widths.push_back(key.shape[0]);
    // Rows that the pruned key has, in their order; all others' values become zero.
    const std::vector<float> few = *stored_values(key);
    const std::vector<float> all = *stored_values(full_key);
    std::vector<float> value = *stored_values(full_value);
    const std::size_t cols = key.shape[1];
    std::size_t at = 0;
    for (std::size_t row = 0; row < full_key.shape[0]; ++row) {
      if (at < few.size() && std::equal(&few[at], &few[at] + cols, &all[row * cols])) {
        at += cols;
        continue;
      }
      std::fill_n(&value[row * cols], cols, 0.0F);
    }
    EXPECT_EQ(at, few.size());
    put_tensor(zeroed, made_tensor({.name = full_value.name,
                                    .shape = full_value.shape,
                                    .format = full_value.format,
                                    .swapped = true},
                                   value));
  }
  const auto narrow = plain(pruned->checkpoint);
  EXPECT_EQ(narrow->manifest().config.ffn_width, std::ranges::max(widths));
  for (const std::uint32_t width : widths) EXPECT_EQ(width % 32, 0U);
  const auto zeros = plain(zeroed);
  const std::vector<float> expected = logits_of(*zeros);
  EXPECT_LT(largest_difference(logits_of(*narrow), expected), 1e-4F);
  EXPECT_GT(largest_difference(logits_of(*exact), expected), 1e-3F);
}

TEST_F(Restructured, AnUnevenArtifactSurvivesItsManifestAndBeingPressedAgain) {
  Checkpoint uneven = checkpoint_;
  for (const auto& [layer, count] : {std::pair{0U, 96U}, {1U, 160U}}) {
    const std::string name = "blocks." + std::to_string(layer) + ".ffn.";
    for (const char* part : {"key.weight", "value.weight"}) {
      const CheckpointTensor& full = *find_tensor(checkpoint_, name + part);
      const bool swapped = part[0] == 'v';
      const std::uint32_t cols = swapped ? full.shape[0] : full.shape[1];
      const std::vector<float> values = *stored_values(full);
      std::vector<std::uint32_t> shape = {count, cols};
      if (swapped) std::swap(shape[0], shape[1]);
      put_tensor(uneven,
                 made_tensor(
                     {.name = full.name, .shape = shape, .format = full.format, .swapped = swapped},
                     std::span(values).first(std::size_t{count} * cols)));
    }
  }
  const auto artifact = plain(uneven);
  const auto decoded = decode_manifest(encode_manifest(artifact->manifest()));
  ASSERT_TRUE(decoded) << to_string(decoded.error());
  EXPECT_EQ(*decoded, artifact->manifest());
  std::vector<Buffer> storage;
  const auto again = tensors_of(*artifact, storage);
  ASSERT_TRUE(again) << to_string(again.error());
  const auto second = plain(*again);
  EXPECT_EQ(logits_of(*second), logits_of(*artifact));
}

TEST_F(Restructured, FactorsGiveWhatTheirProductGives) {
  const auto exact = plain(checkpoint_);
  const auto model = Model::open(*exact);
  const auto text = sample_text(**model, serial_, 2, 256, 3);
  const LowRankPlan wanted{.targets = "rkvo", .factor = 4};
  const auto factored =
      factorize_model(checkpoint_, **model, serial_, *text, wanted, [](double, auto) {});
  ASSERT_TRUE(factored) << to_string(factored.error());
  Checkpoint dense = factored->checkpoint;
  for (std::uint32_t l = 0; l < (*model)->config().layers; ++l) {
    for (const char letter : std::string("rkvo")) {
      const std::string name = matrix_name(l, letter);
      EXPECT_EQ(find_tensor(factored->checkpoint, name), nullptr);
      const CheckpointTensor& left =
          *find_tensor(factored->checkpoint, name + std::string(kLeftFactor));
      const CheckpointTensor& right =
          *find_tensor(factored->checkpoint, name + std::string(kRightFactor));
      EXPECT_EQ(left.shape[1], (*model)->config().width / 4);
      const Factorization factors{left.shape[1], *stored_values(left), *stored_values(right)};
      std::erase_if(dense.tensors, [&](const auto& any) { return any.name.starts_with(name); });
      put_tensor(dense, made_tensor({.name = name, .shape = {left.shape[0], right.shape[1]}},
                                    product_of(factors)));
    }
  }
  const auto few = plain(factored->checkpoint);
  const auto products = plain(dense);
  const std::vector<float> expected = logits_of(*products);
  EXPECT_LT(largest_difference(logits_of(*few), expected), 1e-3F);
  EXPECT_GT(largest_difference(logits_of(*exact), expected), 1e-2F);
  for (const auto& [name, error] : factored->output_errors) EXPECT_LT(error, 1) << name;
}

TEST_F(Restructured, EachTechniqueAloneSavesBytesAndSaysWhatItCost) {
  for (const auto& [only, setting] :
       {std::pair{"prune", "prune.ratio=0.3"}, {"lowrank", "lowrank.factor=4"}}) {
    const PressResult result = pressed(plan({setting}, {only}));
    ASSERT_EQ(result.techniques.size(), 1U);
    const TechniqueReport& report = result.techniques[0];
    EXPECT_EQ(report.name, only);
    EXPECT_LT(report.bytes_after, report.bytes_before);
    EXPECT_EQ(*report.perplexity_before, result.measured->perplexity_before);
    EXPECT_EQ(*report.perplexity_after, result.measured->perplexity_after);
    EXPECT_TRUE(result.artifact->manifest().techniques[0].starts_with(only));
    EXPECT_EQ(result.artifact->manifest().grid_id, "");
    for (const TensorEntry& tensor : result.artifact->manifest().tensors) {
      EXPECT_FALSE(is_quantized(tensor.format)) << tensor.name;
    }
  }
}

TEST_F(Restructured, TogetherTheyComeInOrderAndDoNotDependOnThreads) {
  const CompressionPlan all = plan(
      {"prune.ratio=0.3", "lowrank.factor=4", "quantize.format=q5", "quantize.method=gptq"}, {});
  const PressResult result = pressed(all);
  ASSERT_EQ(result.techniques.size(), 3U);
  EXPECT_EQ(result.techniques[0].name, "prune");
  EXPECT_EQ(result.techniques[1].name, "lowrank");
  EXPECT_EQ(result.techniques[2].name, "quantize");
  for (std::size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(result.techniques[i].bytes_before, result.techniques[i - 1].bytes_after);
    EXPECT_EQ(result.techniques[i].perplexity_before, result.techniques[i - 1].perplexity_after);
  }
  test::ShuffledParallel shuffled;
  const auto again = press_with(all, shuffled);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(digest_of(result), digest_of(*again));
}

TEST_F(Restructured, FactorsOfWhatRoundingMissedBringTheModelBack) {
  const auto exact = plain(checkpoint_);
  const std::vector<float> expected = logits_of(*exact);
  const auto difference = [&](std::vector<std::string> settings) {
    settings.emplace_back("quantize.format=q4");
    settings.emplace_back("quantize.method=nearest");
    const PressResult result = pressed(plan(std::move(settings), {}));
    double sum = 0;
    const std::vector<float> logits = logits_of(*result.artifact);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      sum += std::pow(double{logits[i]} - expected[i], 2);
    }
    return sum;
  };
  EXPECT_LT(difference({"lowrank.compensate=64"}), 0.9 * difference({}));
}

TEST_F(Restructured, WhatTheModelDoesNotHaveIsRefused) {
  const auto gate = press_with(plan({"lowrank.targets=r,g"}, {"lowrank"}), serial_);
  ASSERT_FALSE(gate);
  EXPECT_EQ(gate.error().code, Errc::kUsage);
  EXPECT_NE(gate.error().what.find("no such matrix"), std::string::npos);
  const PressResult factored = pressed(plan({}, {"lowrank"}));
  std::vector<Buffer> storage;
  checkpoint_ = *tensors_of(*factored.artifact, storage);
  const auto twice = press_with(plan({}, {"lowrank"}), serial_);
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().what.find("factors already"), std::string::npos);
}

}  // namespace
}  // namespace skein
