// Which neurons go, on channel mixes whose best answer is known.
#include "coordinator/compress/internal/neuron_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/support/random_floats.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

// A channel mix of random matrices over random inputs, with what a text would show of it.
class PlantedNeurons {
 public:
  static constexpr std::uint32_t kCount = 128;
  static constexpr std::uint32_t kWidth = 48;
  static constexpr std::uint32_t kTokens = 600;

  PlantedNeurons()
      : key(test::random_floats(kCount * kWidth, 1, 1)),
        value(test::random_floats(kCount * kWidth, 2, 1)),
        inputs(test::random_floats(kTokens * kWidth, 3, 1)) {}

  // relu(K x)^2 of all tokens, and their statistics.
  Neurons seen() {
    hidden.assign(std::size_t{kTokens} * kCount, 0);
    for (std::uint32_t t = 0; t < kTokens; ++t) {
      for (std::uint32_t i = 0; i < kCount; ++i) {
        float sum = 0;
        for (std::uint32_t j = 0; j < kWidth; ++j) {
          sum += key[i * kWidth + j] * inputs[t * kWidth + j];
        }
        hidden[t * kCount + i] = sum > 0 ? sum * sum : 0;
      }
    }
    observer.clear();
    observer.saw("x", inputs, kWidth);
    observer.saw("h", hidden, kCount);
    return {.count = kCount,
            .width = kWidth,
            .key = key,
            .value = value,
            .key_inputs = *observer.find("x"),
            .value_inputs = *observer.find("h")};
  }

  void scale(std::vector<float>& rows, std::uint32_t neuron, float by) {
    for (std::uint32_t j = 0; j < kWidth; ++j) rows[neuron * kWidth + j] *= by;
  }

  SerialParallel serial;
  std::vector<float> key, value, inputs, hidden;
  StatisticsObserver observer{serial};
};

std::vector<std::uint32_t> gone_of(std::span<const std::uint32_t> kept, std::uint32_t count) {
  std::vector<std::uint32_t> gone;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (std::ranges::find(kept, i) == kept.end()) gone.push_back(i);
  }
  return gone;
}

std::vector<std::uint32_t> thirty_two() {
  std::vector<std::uint32_t> planted(32);
  std::iota(planted.begin(), planted.end(), 0U);
  for (std::uint32_t& neuron : planted) neuron = neuron * 3 + 5;
  return planted;
}

std::vector<std::uint32_t> gone_by(PlantedNeurons& planted, const PrunePlan& plan) {
  const auto scores = score_neurons(planted.seen(), plan.score, planted.serial);
  EXPECT_TRUE(scores) << to_string(scores.error());
  return gone_of(choose_neurons(std::span(&*scores, 1), plan)[0], PlantedNeurons::kCount);
}

TEST(NeuronScores, NeuronsThatAddNothingGoFirstAndCostNothing) {
  PlantedNeurons planted;
  for (const std::uint32_t neuron : thirty_two()) planted.scale(planted.value, neuron, 0);
  const PrunePlan plan{.score = PrunePlan::Score::kNewton, .ratio = 0.25};
  EXPECT_EQ(gone_by(planted, plan), thirty_two());
  const Neurons neurons = planted.seen();
  std::vector<std::uint32_t> kept = gone_of(thirty_two(), PlantedNeurons::kCount);
  std::vector<float> rows;
  for (const std::uint32_t i : kept) {
    rows.insert(rows.end(), &planted.value[i * PlantedNeurons::kWidth],
                &planted.value[i * PlantedNeurons::kWidth] + PlantedNeurons::kWidth);
  }
  EXPECT_EQ(output_error(neurons, kept, rows), 0);
}

TEST(NeuronScores, NeuronsThatNeverFireGoFirstByFrequency) {
  PlantedNeurons planted;
  for (const std::uint32_t neuron : thirty_two()) planted.scale(planted.key, neuron, 0);
  EXPECT_EQ(gone_by(planted, {.score = PrunePlan::Score::kFrequency, .ratio = 0.25}), thirty_two());
}

TEST(NeuronScores, LorapTakesTheWeakButForTheWeakestHundredth) {
  PlantedNeurons planted;
  for (const std::uint32_t neuron : thirty_two()) {
    planted.scale(planted.key, neuron, 0.1F);
    planted.scale(planted.value, neuron, 0.1F);
  }
  planted.scale(planted.key, 0, 0.001F);  // the very weakest: 1 of 128 is the lowest 1 %
  planted.scale(planted.value, 0, 0.001F);
  PrunePlan plan{.score = PrunePlan::Score::kLorap, .ratio = 0.25};
  EXPECT_EQ(gone_by(planted, plan), thirty_two());
  plan.least = 0;
  EXPECT_EQ(std::ranges::count(gone_by(planted, plan), 0U), 1);
}

TEST(NeuronScores, ARareNeuronOfLargeContributionsStays) {
  PlantedNeurons planted;
  const std::uint32_t vital = thirty_two()[7];
  for (const std::uint32_t neuron : thirty_two()) planted.scale(planted.key, neuron, 0);
  // It fires at one token, and then adds more than any other does.
  for (std::uint32_t j = 0; j < PlantedNeurons::kWidth; ++j) {
    planted.key[vital * PlantedNeurons::kWidth + j] = j == 0 ? 1.0F : 0.0F;
  }
  for (std::uint32_t t = 0; t < PlantedNeurons::kTokens; ++t) {
    float& first = planted.inputs[t * PlantedNeurons::kWidth];
    first = t == 11 ? 9.0F : -std::abs(first);
  }
  planted.scale(planted.value, vital, 100);
  PrunePlan plan{.score = PrunePlan::Score::kFrequency, .ratio = 0.25, .guard = 0.05};
  EXPECT_EQ(std::ranges::count(gone_by(planted, plan), vital), 0);
  plan.guard = 0;
  EXPECT_EQ(std::ranges::count(gone_by(planted, plan), vital), 1);
}

TEST(NeuronScores, EveryLayerKeepsWholeGroupsAndAllTogetherMeetTheShare) {
  std::vector<NeuronScores> layers(5);
  std::uint64_t seed = 1;
  for (NeuronScores& layer : layers) {
    for (const float drawn : test::random_floats(160, ++seed, 1)) {
      layer.score.push_back(drawn + static_cast<double>(seed) / 10);
      layer.peak.push_back(drawn * drawn);
    }
  }
  for (const auto by : {PrunePlan::Score::kLorap, PrunePlan::Score::kNewton}) {
    std::size_t kept = 0;
    for (const auto& layer : choose_neurons(layers, {.score = by, .ratio = 0.2})) {
      EXPECT_EQ(layer.size() % 32, 0U);
      EXPECT_TRUE(std::ranges::is_sorted(layer));
      kept += layer.size();
    }
    EXPECT_NEAR(static_cast<double>(kept), 0.8 * 800, 16);
  }
}

TEST(NeuronScores, CompensationLowersTheError) {
  PlantedNeurons planted;
  // Every fourth neuron is another's double with another value: least squares can tell it all.
  for (std::uint32_t i = 0; i < PlantedNeurons::kCount; i += 4) {
    std::copy_n(&planted.key[(i + 1) * PlantedNeurons::kWidth], PlantedNeurons::kWidth,
                &planted.key[i * PlantedNeurons::kWidth]);
  }
  const Neurons neurons = planted.seen();
  std::vector<std::uint32_t> kept;
  std::vector<float> rows;
  for (std::uint32_t i = 0; i < PlantedNeurons::kCount; ++i) {
    if (i % 4 == 0) continue;
    kept.push_back(i);
    const auto row =
        std::span(planted.value).subspan(i * PlantedNeurons::kWidth, PlantedNeurons::kWidth);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  const double before = output_error(neurons, kept, rows);
  const auto better = compensate(neurons, kept);
  ASSERT_TRUE(better) << to_string(better.error());
  EXPECT_GT(before, 0.1);
  EXPECT_LT(output_error(neurons, kept, *better), before / 1000);
}

TEST(NeuronScores, AreTheSameForAnyThreads) {
  PlantedNeurons planted;
  test::ShuffledParallel shuffled;
  const auto one = score_neurons(planted.seen(), PrunePlan::Score::kNewton, planted.serial);
  const auto other = score_neurons(planted.seen(), PrunePlan::Score::kNewton, shuffled);
  EXPECT_EQ(one->score, other->score);
}

}  // namespace
}  // namespace skein
