// What a predictor names, from parts that the test plants.
#include "common/predict/neuron_predictor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/memory_pages.h"

namespace skein {
namespace {

constexpr std::uint32_t kWidth = 64;
constexpr std::uint32_t kNeurons = 96;
using Among = NeuronPredictor::Among;

class Planted : public testing::Test {
 protected:
  Planted() {
    pages_.config() = {.layers = 1, .width = kWidth, .ffn_width = kNeurons};
    add("cuts", 2, std::vector<float>(2 * kCuts, 0.0F));
  }
  void add(std::string_view part, std::uint32_t rows, const std::vector<float>& values) {
    pages_.add(
        predictor_part(0, part),
        {Format::kF32, Layout::kRows, rows, static_cast<std::uint32_t>(values.size()) / rows},
        values);
  }
  // The guess is the shift state itself.
  void add_guess() {
    add("guess.input", 1, std::vector<float>(kWidth, 0.0F));
    add("guess.shift", 1, std::vector<float>(kWidth, 1.0F));
    add("guess.bias", 1, std::vector<float>(kWidth, 0.0F));
  }
  void add_odds(const std::string& kind) {
    add(kind + ".scale", 1, std::vector<float>(kNeurons, 1.0F));
    add(kind + ".bias", 1, std::vector<float>(kNeurons, 0.0F));
  }
  void add_sketch_of_key() {
    std::vector<float> identity(kWidth * kWidth, 0.0F);
    for (std::uint32_t i = 0; i < kWidth; ++i) identity[i * kWidth + i] = 1;
    add("sketch.down", kWidth, identity);
    add("sketch.up", kNeurons, key_);
    add_guess();
    add_odds("sketch");
  }
  Result<std::unique_ptr<NeuronPredictor>> opened() { return NeuronPredictor::open(pages_, {}); }
  BeforeLayer before() const {
    return {.layer = LayerIndex(0), .residual = residual_, .shift = shift_, .recency = recency_};
  }
  float exact(std::uint32_t neuron) const {
    float sum = 0;
    for (std::uint32_t j = 0; j < kWidth; ++j) sum += key_[neuron * kWidth + j] * shift_[j];
    return sum;
  }

  test::MemoryPages pages_;
  std::vector<float> key_ = test::random_floats(kNeurons * kWidth, 3);
  std::vector<float> residual_ = test::random_floats(kWidth, 4);
  std::vector<float> shift_ = test::random_floats(kWidth, 5);
  std::vector<float> recency_ = std::vector<float>(kNeurons, 0.0F);
};

TEST_F(Planted, AnArtifactWithoutAPredictorHasNone) {
  test::MemoryPages plain;
  plain.config() = pages_.config();
  const auto none = NeuronPredictor::open(plain, {});
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
}

TEST_F(Planted, AKeyThatIsKnownNamesEveryNeuronThatFires) {
  add_sketch_of_key();
  const auto predictor = opened();
  ASSERT_TRUE(predictor) << to_string(predictor.error());
  std::vector<std::uint32_t> named;
  (*predictor)->predict(before(), 0.9, Among::kAll, named);
  EXPECT_TRUE(std::ranges::is_sorted(named));
  std::uint32_t firing = 0;
  for (std::uint32_t i = 0; i < kNeurons; ++i) {
    const float score = exact(i);
    const bool is_named = std::ranges::find(named, i) != named.end();
    if (std::fabs(score) < 0.05F) continue;  // less than rounding to q8 tells
    EXPECT_EQ(is_named, score > 0) << i << ": " << score;
    firing += score > 0 ? 1 : 0;
  }
  EXPECT_GT(firing, kNeurons / 4);
}

TEST_F(Planted, SignsAddEachChannelWithItsSign) {
  add_guess();
  add_odds("sign");
  std::vector<float> bytes(kNeurons * sign_bytes(kWidth), 0.0F);
  for (std::uint32_t i = 0; i < kNeurons * kWidth; ++i) {
    if (key_[i] > 0) bytes[i / 8] += static_cast<float>(1U << (i % 8));
  }
  add("sign.bytes", kNeurons, bytes);
  const auto predictor = opened();
  ASSERT_TRUE(predictor) << to_string(predictor.error());
  std::vector<float> scores(kNeurons);
  (*predictor)->score(before(), scores);
  for (std::uint32_t i = 0; i < kNeurons; ++i) {
    float sum = 0;
    for (std::uint32_t j = 0; j < kWidth; ++j) {
      sum += key_[i * kWidth + j] > 0 ? shift_[j] : -shift_[j];
    }
    EXPECT_NEAR(scores[i], sum, 1e-4) << i;
  }
}

TEST_F(Planted, TheLargestOfSeveralScoresCounts) {
  add_sketch_of_key();
  add_odds("previous");
  recency_[7] = 1000;
  const auto predictor = opened();
  ASSERT_TRUE(predictor) << to_string(predictor.error());
  std::vector<float> scores(kNeurons);
  (*predictor)->score(before(), scores);
  EXPECT_EQ(scores[7], 1000);
  for (const float score : scores) EXPECT_GE(score, 0);  // previous alone gives 0
}

TEST_F(Planted, ACutIsThatOfTheNextRecallAbove) {
  add_odds("previous");
  std::vector<float> cuts(2 * kCuts);
  for (std::size_t i = 0; i < cuts.size(); ++i) cuts[i] = -static_cast<float>(i);
  pages_.remove(predictor_part(0, "cuts"));
  add("cuts", 2, cuts);
  const auto predictor = opened();
  ASSERT_TRUE(predictor);
  const auto cut = [&](double recall, Among among) {
    return (*predictor)->cut(LayerIndex(0), recall, among);
  };
  EXPECT_EQ(cut(0.5, Among::kAll), 0);
  EXPECT_EQ(cut(0.51, Among::kAll), -1);
  EXPECT_EQ(cut(0.9, Among::kAll), -7);
  EXPECT_EQ(cut(1.0, Among::kAll), -static_cast<float>(kCuts - 1));
  EXPECT_EQ(cut(0.5, Among::kCold), -static_cast<float>(kCuts));
}

TEST_F(Planted, AMissingOrMisshapenPartIsRefusedByName) {
  add_sketch_of_key();
  const auto refusal = [&](std::string_view part, std::uint32_t rows,
                           const std::vector<float>& values) {
    pages_.remove(predictor_part(0, part));
    if (!values.empty()) add(part, rows, values);
    const auto refused = opened();
    EXPECT_FALSE(refused);
    const std::string text = refused ? "" : to_string(refused.error());
    EXPECT_NE(text.find("blocks.0.ffn.predictor." + std::string(part)), std::string::npos) << text;
    return text;
  };
  refusal("sketch.up", kNeurons - 1, std::vector<float>((kNeurons - 1) * kWidth, 1.0F));
  refusal("sketch.up", kNeurons, {});
  pages_.remove(predictor_part(0, "sketch.up"));
  add("sketch.up", kNeurons, key_);
  std::vector<float> broken(kWidth, 1.0F);
  broken[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(refusal("guess.shift", 1, broken).find("no number"), std::string::npos);
}

TEST_F(Planted, AScoreByTheKeyNeedsTheKey) {
  add_guess();
  add_odds("key");
  const auto refused = opened();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
}

TEST(RecentNeurons, FadeTokenByToken) {
  RecentNeurons recent(2);
  recent.fired(std::vector<float>{3.0F, 0.0F});
  EXPECT_EQ(recent.recency()[0], 0.25F);
  recent.fired(std::vector<float>{0.0F, 0.0F});
  EXPECT_EQ(recent.recency()[0], 0.1875F);
  EXPECT_EQ(recent.recency()[1], 0);
}

}  // namespace
}  // namespace skein
