// The techniques `head` and `embedding`, on the tiny bf16 model and on matrices made here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "common/model/evaluate.h"
#include "common/model/weights.h"
#include "coordinator/compress/internal/embedding_folding.h"
#include "coordinator/compress/internal/head_measure.h"
#include "coordinator/compress/internal/head_order.h"
#include "coordinator/compress/internal/row_clusters.h"
#include "coordinator/compress/press.h"
#include "kernels/isa/isa.h"
#include "tests/support/golden_model.h"
#include "tests/support/random_floats.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

class TokenMatrices : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(select_isa("")); }
  static void TearDownTestSuite() { ASSERT_TRUE(select_isa("scalar")); }
  static CompressionPlan plan(std::vector<std::string> only, std::vector<std::string> settings) {
    CompressionRequest request;
    request.only = std::move(only);
    request.settings = std::move(settings);
    const auto made = CompressionPlan::make(request);
    EXPECT_TRUE(made) << to_string(made.error());
    CompressionPlan plan = *made;
    plan.calibration_ids = 1024;
    return plan;
  }
  Result<PressResult> tried(const CompressionPlan& plan, Parallel& parallel,
                            PageSource* pages = nullptr) {
    return press({.checkpoint = checkpoint_,
                  .convert = {.name = "m", .version = "v1"},
                  .text = {},
                  .held_out = held_out_,
                  .parallel = parallel,
                  .pages = pages},
                 plan);
  }
  PressResult pressed(const CompressionPlan& plan) {
    auto result = tried(plan, serial_);
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
  // Logits after each of some tokens, one at a time.
  std::vector<std::vector<float>> logits_of(PageSource& pages, std::uint32_t most) {
    const auto model = *Model::open(pages);
    Runner runner(*model, serial_);
    RwkvState state = model->initial_state();
    std::vector<std::vector<float>> all;
    for (const TokenId id : std::span(held_out_).first(40)) {
      std::vector<float>& logits = all.emplace_back(model->config().vocab);
      const Feed feed = {std::span(&id, 1), &state, logits, most};
      EXPECT_TRUE(runner.feed(std::span(&feed, 1)));
    }
    return all;
  }
  static Digest digest_of(const PressResult& result) {
    return manifest_digest(encode_manifest(result.artifact->manifest()));
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

TEST_F(TokenMatrices, AFoldedEmbeddingInFloatsKeepsEveryBitAndLn0IsGone) {
  const auto plain = *convert(checkpoint_, {});
  const PressResult folded = pressed(plan({"embedding"}, {"embedding.format=f32"}));
  EXPECT_EQ(logits_of(*folded.artifact, 0), logits_of(*plain, 0));
  const Manifest& manifest = folded.artifact->manifest();
  EXPECT_EQ(find_tensor(manifest, "blocks.0.ln0.weight"), nullptr);
  EXPECT_NE(find_tensor(manifest, kNormedEmbedding), nullptr);
  EXPECT_EQ(find_tensor(manifest, "head.weight")->format, Format::kBf16);
}

TEST_F(TokenMatrices, FoldingTwiceIsFoldingOnce) {
  const auto once = with_normed_embedding(checkpoint_);
  ASSERT_TRUE(once) << to_string(once.error());
  const auto twice = with_normed_embedding(*once);
  ASSERT_TRUE(twice);
  EXPECT_EQ(once->tensors.size(), twice->tensors.size());
  const auto one = *convert(*once, {});
  const auto two = *convert(*twice, {});
  EXPECT_EQ(manifest_digest(encode_manifest(one->manifest())),
            manifest_digest(encode_manifest(two->manifest())));
}

TEST_F(TokenMatrices, AMarkBesideTheNormItselfIsRefused) {
  Checkpoint both = *with_normed_embedding(checkpoint_);
  for (const CheckpointTensor& tensor : checkpoint_.tensors) {
    if (tensor.name == "blocks.0.ln0.weight") both.tensors.push_back(tensor);
  }
  const auto config = find_config(both);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Errc::kCorrupt);
  EXPECT_EQ(config.error().where, "blocks.0.ln0.weight");
}

TEST_F(TokenMatrices, WhatIsNotedIsWhatEvaluateFinds) {
  const auto exact = convert(checkpoint_, {});
  const double before = perplexity_of(**exact);
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> all = {
      {{"embedding"}, {}},
      {{"embedding"}, {"embedding.format=q4"}},
      {{"head"}, {}},
      {{"head"}, {"head.method=clusters", "head.clusters=12", "head.mass=0.6", "head.least=1"}},
      {{"embedding", "quantize", "head"}, {"quantize.format=q5"}},
      {{"embedding", "prune", "head"}, {"prune.ratio=0.2"}},
      {{"embedding", "prune", "lowrank", "quantize", "sparsity", "head", "entropy"},
       {"prune.ratio=0.3", "lowrank.factor=4", "quantize.format=q6", "sparsity.cett=0.05",
        "head.method=clusters", "head.clusters=12", "head.mass=0.6"}}};
  for (const auto& [only, settings] : all) {
    const PressResult result = pressed(plan(only, settings));
    ASSERT_TRUE(result.measured) << only[0];
    const double after = perplexity_of(*result.artifact);
    EXPECT_EQ(result.measured->perplexity_after, after) << only[0];
    EXPECT_EQ(result.measured->perplexity_before, before) << only[0];
    EXPECT_EQ(*result.techniques.back().perplexity_after, after) << only[0];
    std::ostringstream note;
    note << std::fixed << std::setprecision(6) << "perplexity " << after << " (was " << before;
    const auto& notes = result.artifact->manifest().techniques;
    const auto says = [&](const std::string& text) { return text.starts_with(note.str()); };
    EXPECT_EQ(std::ranges::count_if(notes, says), 1) << note.str();
  }
}

// Both heads that a screen is made for: floats, and codes that meet int8 inputs.
TEST_F(TokenMatrices, AScreenKeepsTheLargestLogitsBitForBit) {
  for (const char* format : {"", "quantize.format=q8", "quantize.format=q4"}) {
    std::vector<std::string> only = {"head"};
    std::vector<std::string> settings = {"head.rank=120", "head.format=q8"};
    if (*format != 0) {
      only.emplace_back("quantize");
      settings.emplace_back(format);
    }
    const PressResult result = pressed(plan(only, settings));
    const auto dense = logits_of(*result.artifact, 0);
    for (const std::uint32_t most : {1U, 5U, 40U}) {
      const auto some = logits_of(*result.artifact, most);
      std::size_t left_out = 0;
      for (std::size_t i = 0; i < dense.size(); ++i) {
        std::vector<float> sorted = dense[i];
        std::ranges::sort(sorted, std::greater<>());
        const float least = sorted[most - 1];
        for (std::size_t v = 0; v < sorted.size(); ++v) {
          if (dense[i][v] >= least) EXPECT_EQ(some[i][v], dense[i][v]) << format << most;
          if (std::isfinite(some[i][v])) {
            EXPECT_EQ(some[i][v], dense[i][v]);
          } else {
            ++left_out;
          }
        }
      }
      if (most == 1) EXPECT_GT(left_out, 0U) << format << ": some rows are spared";
    }
    EXPECT_EQ(result.head->agreement, 1);
  }
}

TEST_F(TokenMatrices, AScreenChangesNoLogitThatIsAskedForWhole) {
  const auto plain = *convert(checkpoint_, {});
  const PressResult screened = pressed(plan({"head"}, {}));
  EXPECT_EQ(logits_of(*screened.artifact, 0), logits_of(*plain, 0));
}

TEST_F(TokenMatrices, AHierarchicalHeadAnswersAlikeAloneAndAmongOthers) {
  const PressResult result = pressed(plan(
      {"head"}, {"head.method=clusters", "head.clusters=10", "head.mass=0.5", "head.least=1"}));
  const auto alone = logits_of(*result.artifact, 0);
  const auto model = *Model::open(*result.artifact);
  Runner runner(*model, serial_);
  RwkvState state = model->initial_state();
  const std::size_t vocab = model->config().vocab;
  std::vector<float> logits(alone.size() * vocab);
  const Feed feed = {std::span(held_out_).first(alone.size()), &state, logits};
  ASSERT_TRUE(runner.feed(std::span(&feed, 1)));
  for (std::size_t i = 0; i < alone.size(); ++i) {
    const auto row = std::span(logits).subspan(i * vocab, vocab);
    EXPECT_TRUE(std::ranges::equal(row, alone[i])) << i;
  }
  EXPECT_LT(result.head->bytes_greedy, result.head->dense_bytes);
  EXPECT_GT(result.head->divergence, 0);
}

TEST_F(TokenMatrices, LookingIntoAllClustersIsTheDenseHead) {
  const auto plain = *convert(checkpoint_, {});
  const PressResult all =
      pressed(plan({"head"}, {"head.method=clusters", "head.clusters=9", "head.least=9"}));
  EXPECT_EQ(logits_of(*all.artifact, 0), logits_of(*plain, 0));
  EXPECT_EQ(all.head->divergence, 0);
}

TEST_F(TokenMatrices, TheSameArtifactForAnyThreads) {
  test::ShuffledParallel shuffled;
  for (const char* method : {"head.method=screen", "head.method=clusters"}) {
    const CompressionPlan asked = plan({"embedding", "quantize", "head"}, {method});
    const auto one = tried(asked, serial_);
    const auto other = tried(asked, shuffled);
    ASSERT_TRUE(one && other);
    EXPECT_EQ(digest_of(*one), digest_of(*other));
  }
}

TEST_F(TokenMatrices, PressedAgainTheHeadIsInTheOrderOfItsTokens) {
  const auto plain = *convert(checkpoint_, {});
  PressResult screened = pressed(plan({"head"}, {}));
  std::vector<Buffer> storage;
  const auto unpacked = tensors_of(*screened.artifact, storage);
  ASSERT_TRUE(unpacked) << to_string(unpacked.error());
  const auto again = convert(*unpacked, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(find_tensor((*again)->manifest(), kHeadOrder), nullptr);
  EXPECT_EQ(logits_of(**again, 0), logits_of(*plain, 0));
}

TEST_F(TokenMatrices, AQuantizedArtifactGetsAScreenAndKeepsItsCodes) {
  const PressResult q4 = pressed(plan({"quantize"}, {"quantize.format=q4"}));
  std::vector<Buffer> storage;
  const Checkpoint floats = *tensors_of(*q4.artifact, storage);
  const auto screened = press({.checkpoint = floats,
                               .convert = {},
                               .text = {},
                               .held_out = held_out_,
                               .parallel = serial_,
                               .pages = q4.artifact.get()},
                              plan({"head"}, {}));
  ASSERT_TRUE(screened) << to_string(screened.error());
  EXPECT_EQ(logits_of(*screened->artifact, 0), logits_of(*q4.artifact, 0));
  EXPECT_EQ(find_tensor(screened->artifact->manifest(), "head.weight")->format, Format::kQ4);
  const Checkpoint twice = *tensors_of(*screened->artifact, storage);
  const auto refused = press({.checkpoint = twice,
                              .convert = {},
                              .text = {},
                              .held_out = held_out_,
                              .parallel = serial_,
                              .pages = screened->artifact.get()},
                             plan({"head"}, {}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_NE(refused.error().what.find("already"), std::string::npos);
}

TEST_F(TokenMatrices, SizesThatDoNotFitAreRefused) {
  const ModelConfig config = *find_config(checkpoint_);
  const std::pair<std::string, std::string> cases[] = {
      {"head.clusters=" + std::to_string(config.vocab + 1),
       std::to_string(config.vocab) + " tokens"},
      {"head.rank=" + std::to_string(config.width + 1), std::to_string(config.width) + " inputs"}};
  for (const auto& [setting, part] : cases) {
    const auto refused = tried(plan({"head"}, {setting}), serial_);
    ASSERT_FALSE(refused) << setting;
    EXPECT_EQ(refused.error().code, Errc::kUsage);
    EXPECT_NE(refused.error().what.find(part), std::string::npos) << refused.error().what;
  }
}

TEST_F(TokenMatrices, ThePresetSmallPrunesFoldsAndSaysWhatItCost) {
  CompressionRequest request;
  request.preset = "small";
  CompressionPlan small = *CompressionPlan::make(request);
  small.calibration_ids = 1024;
  small.sensitivity_ids = 512;
  small.bits_per_weight = 7;  // vectors are much of a tiny model
  const PressResult result = pressed(small);
  EXPECT_EQ(result.measured->perplexity_after, perplexity_of(*result.artifact));
  EXPECT_FALSE(result.memory_budget) << "a tiny model is smaller than what a pager takes";
  const Manifest& manifest = result.artifact->manifest();
  EXPECT_NE(find_tensor(manifest, kNormedEmbedding), nullptr);
  EXPECT_LT(result.pruned[0].neurons, result.pruned[0].neurons_before);
  EXPECT_NE(std::ranges::find(manifest.techniques, "small"), manifest.techniques.end());
}

TEST_F(TokenMatrices, ADamagedOrderIsRefused) {
  const PressResult screened = pressed(plan({"head"}, {}));
  const std::uint32_t vocab = find_config(checkpoint_)->vocab;
  std::vector<float> order(vocab, 0.0F);  // all of them token 0
  const CheckpointTensor wrong{.name = std::string(kHeadOrder),
                               .shape = {1, vocab},
                               .format = Format::kF32,
                               .data = std::as_bytes(std::span(order))};
  const auto damaged =
      with_tensors(*screened.artifact, std::span(&wrong, 1), "v1", "", std::nullopt);
  ASSERT_TRUE(damaged);
  const auto model = Model::open(**damaged);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Errc::kCorrupt);
  std::vector<Buffer> storage;
  EXPECT_FALSE(tensors_of(**damaged, storage));
}

// For every format: row i of what comes out is row order[i], code for code.
TEST(HeadOrder, MovesRowsWithoutTouchingThem) {
  constexpr std::uint32_t kRows = 45;
  constexpr std::uint32_t kCols = 70;
  const std::vector<float> values = test::random_floats(std::size_t{kRows} * kCols, 3, 1);
  std::vector<std::uint32_t> order(kRows);
  for (std::uint32_t i = 0; i < kRows; ++i) order[i] = i * 7 % kRows;
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8, Format::kQ6,
                              Format::kQ5, Format::kQ4}) {
    Buffer stored(stored_bytes(format, Layout::kTiles, kRows, kCols));
    encode(format, Layout::kTiles, kRows, kCols, values, stored);
    const Buffer moved = reordered_tiles({format, kRows, kCols}, stored, order);
    std::vector<float> then(values.size());
    std::vector<float> now(values.size());
    decode(format, Layout::kTiles, kRows, kCols, stored, then);
    decode(format, Layout::kTiles, kRows, kCols, moved, now);
    for (std::uint32_t i = 0; i < kRows; ++i) {
      const auto row = std::span(now).subspan(std::size_t{i} * kCols, kCols);
      const auto from = std::span(then).subspan(std::size_t{order[i]} * kCols, kCols);
      EXPECT_TRUE(std::ranges::equal(row, from)) << name_of(format) << " row " << i;
    }
  }
}

RowMatrix blobs(std::uint32_t groups, std::uint32_t each) {
  const std::vector<float> noise = test::random_floats(std::size_t{groups} * each * 8, 5, 0.05F);
  RowMatrix rows(groups * each, 8);
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    for (Eigen::Index j = 0; j < 8; ++j) {
      const auto at = static_cast<std::size_t>(i * 8 + j);
      rows(i, j) = noise[at] + (i % groups == j ? 3.0F : 0.0F);
    }
  }
  return rows;
}

TEST(RowClusters, FindsGroupsThatAreThere) {
  SerialParallel serial;
  const RowMatrix rows = blobs(6, 50);
  const RowClusters found = cluster_rows(rows, 6, 1, serial);
  for (std::uint32_t i = 0; i < found.of.size(); ++i) {
    EXPECT_EQ(found.of[i], found.of[i % 6]) << i;
  }
  const std::vector<std::uint32_t> first = found.first();
  EXPECT_EQ(first.front(), 0U);
  EXPECT_EQ(first.back(), 300U);
  std::vector<std::uint32_t> order = found.order();
  for (std::uint32_t j = 0; j < 6; ++j) {
    for (std::uint32_t i = first[j]; i < first[j + 1]; ++i) EXPECT_EQ(found.of[order[i]], j);
  }
  std::ranges::sort(order);
  for (std::uint32_t i = 0; i < 300; ++i) EXPECT_EQ(order[i], i);
}

TEST(RowClusters, AreTheSameForAnyThreadsAndNeverEmpty) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  RowMatrix rows = blobs(3, 300);
  rows.topRows(400).setZero();  // many alike: fewer places than groups
  for (const std::uint32_t count : {1U, 7U, 40U, 900U}) {
    const RowClusters one = cluster_rows(rows, count, 9, serial);
    const RowClusters other = cluster_rows(rows, count, 9, shuffled);
    EXPECT_EQ(one.of, other.of) << count;
    EXPECT_EQ(one.centres, other.centres) << count;
    const std::vector<std::uint32_t> first = one.first();
    for (std::uint32_t j = 0; j < count; ++j) EXPECT_LT(first[j], first[j + 1]) << count;
  }
}

}  // namespace
}  // namespace skein
