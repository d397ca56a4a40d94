// Pressing as planned, on the tiny bf16 model: what is written, how it depends on nothing but its
// input, and what it says it cost.
#include <gtest/gtest.h>

#include <cmath>

#include "common/model/evaluate.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/press.h"
#include "tests/support/golden_model.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

class PlannedPress : public testing::Test {
 protected:
  CompressionPlan plan(std::vector<std::string> settings) {
    CompressionRequest request;
    request.settings = std::move(settings);
    return planned(std::move(request));
  }
  CompressionPlan planned(CompressionRequest request) {
    const auto made = CompressionPlan::make(request);
    EXPECT_TRUE(made) << to_string(made.error());
    CompressionPlan plan = *made;
    plan.calibration_ids = 512;
    plan.sensitivity_ids = 64;
    plan.held_out_ids = 512;
    return plan;
  }
  Result<PressResult> press_with(const CompressionPlan& plan, Parallel& parallel) {
    return press({.checkpoint = checkpoint_,
                  .convert = {.name = "m", .version = "v1"},
                  .text = text_,
                  .held_out = held_out_,
                  .parallel = parallel},
                 plan);
  }
  PressResult pressed(const CompressionPlan& plan) {
    auto result = press_with(plan, serial_);
    EXPECT_TRUE(result) << to_string(result.error());
    return std::move(*result);
  }
  static Digest digest_of(const PressResult& result) {
    return manifest_digest(encode_manifest(result.artifact->manifest()));
  }
  static std::uint64_t bytes_of(const PressResult& result) {
    std::uint64_t bytes = 0;
    for (const TensorEntry& tensor : result.artifact->manifest().tensors) {
      bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
    }
    return bytes;
  }

  SerialParallel serial_;
  Buffer file_ = test::golden_file("tiny-128-bf16.safetensors");
  Checkpoint checkpoint_ = *read_checkpoint(file_, "golden");
  std::vector<TokenId> text_ = {};
  std::vector<TokenId> held_out_ = {};
};

TEST_F(PlannedPress, ErrorFeedbackCostsLessThanRoundingToTheNearest) {
  const PressResult nearest = pressed(plan({"quantize.format=q4", "quantize.method=nearest"}));
  const PressResult feedback = pressed(plan({"quantize.format=q4", "quantize.method=gptq"}));
  EXPECT_EQ(feedback.artifact->manifest().techniques.front(), "q4");
  EXPECT_EQ(bytes_of(nearest), bytes_of(feedback));
  std::size_t fitted = 0;
  for (const TensorReport& tensor : feedback.tensors) {
    if (!tensor.output_error) continue;
    ++fitted;
    EXPECT_LT(*tensor.output_error, tensor.relative_error) << tensor.name;
  }
  EXPECT_GE(fitted, 10U);
}

TEST_F(PlannedPress, TheSameInputGivesTheSameArtifactForAnyThreads) {
  CompressionRequest request;
  request.bits_per_weight = 7;
  const CompressionPlan mixed = planned(request);
  test::ShuffledParallel shuffled;
  const auto again = press_with(mixed, shuffled);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(digest_of(pressed(mixed)), digest_of(*again));
}

TEST_F(PlannedPress, ABudgetOfBitsIsKeptAndUsed) {
  const std::uint64_t smallest = bytes_of(pressed(plan({"quantize.format=q4"})));
  std::uint64_t weights = 0;
  for (const TensorReport& tensor : pressed(plan({})).tensors) weights += tensor.weights;
  CompressionRequest request;
  double before = INFINITY;
  for (const double more : {0.05, 1.0, 3.0}) {
    request.bits_per_weight =
        8 * static_cast<double>(smallest) / static_cast<double>(weights) + more;
    const PressResult result = pressed(planned(request));
    const double bits = 8 * static_cast<double>(bytes_of(result)) / static_cast<double>(weights);
    EXPECT_LE(bits, *request.bits_per_weight);
    EXPECT_GE(bits, *request.bits_per_weight - 0.3);
    ASSERT_TRUE(result.predicted_loss);
    EXPECT_LT(*result.predicted_loss, before);
    before = *result.predicted_loss;
  }
}

TEST_F(PlannedPress, BitsOnceCodedAreKeptAndUsed) {
  double before = 0;
  for (const char* const bits : {"5.4", "4.6"}) {
    const PressResult result = pressed(plan({std::string("entropy.bits=") + bits}));
    ASSERT_TRUE(result.coded_bits);
    EXPECT_LE(*result.coded_bits, std::stod(bits));
    EXPECT_GT(*result.coded_bits, std::stod(bits) - 0.05);
    EXPECT_EQ(result.artifact->manifest().grid_id, "uniform-g32-v1");
    EXPECT_GT(*result.predicted_loss, before);
    before = *result.predicted_loss;
    std::uint64_t weights = 0;
    for (const TensorReport& tensor : result.tensors) weights += tensor.weights;
    EXPECT_LT(*result.coded_bits * static_cast<double>(weights),
              8.0 * static_cast<double>(bytes_of(result)));
  }
}

TEST_F(PlannedPress, UniformStepsAreTheSameForAnyThreads) {
  const CompressionPlan entropy = plan({"entropy.bits=5"});
  test::ShuffledParallel shuffled;
  const auto again = press_with(entropy, shuffled);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(digest_of(pressed(entropy)), digest_of(*again));
}

TEST_F(PlannedPress, ABudgetThatCannotBeMetNamesTheSmallestThatCan) {
  CompressionRequest request;
  request.bits_per_weight = 1;
  const auto refused = press_with(planned(request), serial_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
  const std::string& remedy = refused.error().remedy;
  const std::size_t number = remedy.find_first_of("0123456789");
  ASSERT_NE(number, std::string::npos) << remedy;
  request.bits_per_weight = std::stod(remedy.substr(number));
  EXPECT_TRUE(press_with(planned(request), serial_));
  request.bits_per_weight = {};
  request.memory_budget = 1000;
  const auto memory = press_with(planned(request), serial_);
  ASSERT_FALSE(memory);
  EXPECT_NE(memory.error().remedy.find("bytes"), std::string::npos);
}

TEST_F(PlannedPress, TheLossItRecordsIsWhatEvaluationFinds) {
  const auto model_of = [](PageSource& pages) { return std::move(*Model::open(pages)); };
  const auto exact = convert(checkpoint_, {});
  ASSERT_TRUE(exact);
  const auto sampled = sample_text(*model_of(**exact), serial_, 2, 512, 77);
  ASSERT_TRUE(sampled);
  held_out_ = sampled->ids;
  const PressResult result = pressed(plan({"quantize.format=q4", "quantize.method=gptq"}));
  ASSERT_TRUE(result.measured);
  const auto model = model_of(*result.artifact);
  const auto found = evaluate(*model, serial_, held_out_, 512);
  ASSERT_TRUE(found);
  EXPECT_EQ(result.measured->perplexity_after,
            std::exp(found->nll / static_cast<double>(found->tokens)));
  EXPECT_EQ(result.measured->ids, 1024U);
  EXPECT_NE(result.artifact->manifest().techniques.back().find(
                std::to_string(result.measured->perplexity_after)),
            std::string::npos);
}

TEST_F(PlannedPress, ATextTooShortToLearnFromIsRefused) {
  CompressionRequest request;
  request.calibration = "note.txt";
  text_.assign(100, 5);
  const auto refused = press_with(planned(request), serial_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "note.txt");
  EXPECT_EQ(refused.error().code, Errc::kUsage);
}

TEST_F(PlannedPress, ATextIsSplitIntoWhatIsLearnedFromAndWhatIsHeldOut) {
  CompressionRequest request;
  request.calibration = "note.txt";
  for (TokenId id = 0; id < 2000; ++id) text_.push_back(TokenId(id % 200 + 1));
  const PressResult result = pressed(planned(request));
  EXPECT_EQ(result.calibration, "note.txt, 512 ids");
  EXPECT_EQ(result.measured->ids, 500U);
}

// Layer by layer is the same computation as token by token.
TEST(CalibrationPass, EndsWhereTheModelItselfEnds) {
  const test::GoldenModel golden;
  SerialParallel serial;
  const auto text = sample_text(*golden.model, serial, 3, 100, 5);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->ids, sample_text(*golden.model, serial, 3, 100, 5)->ids);
  EXPECT_NE(text->ids, sample_text(*golden.model, serial, 3, 100, 6)->ids);
  CalibrationPass pass(*golden.model, serial, *text);
  ASSERT_TRUE(pass.begin());
  while (pass.layer() < pass.layers()) {
    const std::string block = "blocks." + std::to_string(pass.layer()) + ".";
    ASSERT_TRUE(pass.run_layer());
    for (const char* part : {"att.receptance.weight", "att.output.weight", "att.w1", "att.w2",
                             "ffn.key.weight", "ffn.value.weight"}) {
      const InputStatistics* seen = pass.statistics().find(block + part);
      ASSERT_NE(seen, nullptr) << block << part;
      EXPECT_EQ(seen->rows, 300U);
    }
  }
  ASSERT_TRUE(pass.run_head());
  EXPECT_EQ(pass.statistics().find("blocks.0.att.key.weight"), nullptr);
  EXPECT_EQ(pass.statistics().find("head.weight")->rows, 300U);

  const std::size_t vocab = golden.model->config().vocab;
  std::vector<float> logits(vocab);
  Runner runner(*golden.model, serial);
  RwkvState state = golden.model->initial_state();
  std::vector<TokenId> read(text->ids.begin() + 100, text->ids.begin() + 199);
  read.insert(read.begin(), kEndOfText);
  const Feed feed{read, &state, logits};
  ASSERT_TRUE(runner.feed(std::span(&feed, 1)));
  std::vector<float> by_layers(vocab);
  const Activation last = pass.first(300);
  runner.head(last, 199, 1, by_layers);
  EXPECT_EQ(logits, by_layers);
}

}  // namespace
}  // namespace skein
