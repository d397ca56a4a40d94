// Rows read before they are known to be wanted: how that changes nothing but time.
#include "edge_node/paging/internal/rows_ahead.h"

#include <gtest/gtest.h>

#include <array>

#include "common/predict/neuron_predictor.h"
#include "edge_node/paging/internal/read_cost.h"
#include "edge_node/paging/internal/row_guess.h"
#include "tests/edge_node/paging/paged_model.h"
#include "tests/golden/hashes/seeded_model.h"
#include "tests/support/random_floats.h"

namespace skein {
namespace {

using paging::ReadCost;
using paging::RowGuess;
using paging::RowsAhead;
using paging::RowTable;
using test::PagedModel;
using test::SeededModel;

// A predictor of recency alone: bias + scale * recency are the odds that a neuron fires.
void plant_predictor(SeededModel& seeded, float scale, float bias) {
  const Manifest manifest = seeded.pages().manifest();
  int distinct = 0;  // no two pages are the same
  for (std::uint32_t layer = 0; layer < manifest.config.layers; ++layer) {
    const auto* key = find_tensor(manifest, "blocks." + std::to_string(layer) + ".ffn.key.weight");
    const auto add = [&](std::string_view part, std::uint32_t rows, std::uint32_t cols,
                         float value) {
      std::vector<float> values(std::size_t{rows} * cols);
      for (float& each : values) each = value + 1e-4F * static_cast<float>(++distinct);
      seeded.pages().add(predictor_part(layer, part), {Format::kF32, Layout::kRows, rows, cols},
                         values);
    };
    add("previous.scale", 1, key->rows, scale);
    add("previous.bias", 1, key->rows, bias);
    add("cuts", 2, kCuts, 0);
  }
}

struct Answers {
  std::vector<float> logits;
  PagerCounters counters;
};

// `prepare` is called with the opened model before each token.
template <class Prepare>
Answers answers_of(SeededModel& seeded, std::uint64_t ahead_bytes, Prepare prepare,
                   double share = 0.1) {
  PagedModel paged(seeded.pages());
  paged.ahead_bytes = ahead_bytes;
  paged.still();
  SerialParallel alone;
  const auto opened = paged.open(paged.plan(share), alone);
  EXPECT_TRUE(opened) << to_string(opened.error());
  Runner runner(*paged.model, alone);
  RwkvState state = paged.model->initial_state();
  Answers result;
  std::vector<float> logits(SeededModel::kVocab);
  for (TokenId token = 0; token < 40; ++token) {
    prepare(paged);
    const auto step = runner.step(token * 7 % 40, state, logits);
    EXPECT_TRUE(step) << to_string(step.error());
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  }
  result.counters = paged.pager->counters();
  return result;
}
constexpr auto kNothing = [](PagedModel&) {};
constexpr std::uint64_t kAhead = std::uint64_t{1} << 17;

TEST(RowsAhead, APredictorThatIsWrongChangesNoBit) {
  SeededModel plain({}, Format::kQ5);
  const Answers expected = answers_of(plain, 0, kNothing);
  EXPECT_EQ(expected.counters.rows_guessed, 0U);
  EXPECT_EQ(expected.counters.unguessed, 0U);
  for (const auto& [scale, bias] : {std::pair(0.0F, 9.0F), {0.0F, -9.0F}, {-9.0F, 1.0F}}) {
    SeededModel seeded({}, Format::kQ5);
    plant_predictor(seeded, scale, bias);
    const Answers actual = answers_of(seeded, kAhead, kNothing);
    EXPECT_EQ(actual.logits, expected.logits) << scale << " " << bias;
    if (bias > 0) EXPECT_GT(actual.counters.rows_guessed, 0U);
    if (bias < 0) EXPECT_GT(actual.counters.unguessed, 0U);
    EXPECT_LE(actual.counters.unguessed, actual.counters.row_misses);
  }
}

TEST(RowsAhead, WhatIsSaidToFireAlwaysComesAheadUntilItIsKnownBetter) {
  SeededModel seeded({}, Format::kQ8);
  plant_predictor(seeded, 0, 9);
  const PagerCounters counters = answers_of(seeded, kAhead, kNothing, 0).counters;
  EXPECT_GT(counters.guesses_used, 0U);
  EXPECT_LT(counters.guesses_used, counters.rows_guessed);
}

TEST(RowsAhead, FailedReadsAreReadAgainWhenTheirRowsAreWanted) {
  SeededModel plain({}, Format::kQ8);
  const Answers expected = answers_of(plain, 0, kNothing);
  SeededModel seeded({}, Format::kQ8);
  plant_predictor(seeded, 0, 9);
  std::uint32_t failed = 0;
  const Answers actual = answers_of(seeded, kAhead, [&](PagedModel& paged) {
    failed += paged.still().failures == 0 ? 1 : 0;
    paged.still().failing_reads = 3;  // pages looked up, streamed, rows, and these
    paged.still().failures = 1;
  });
  EXPECT_GT(failed, 1U);
  EXPECT_EQ(actual.logits, expected.logits);
}

// Hands out what is asked for at once, so long after it was asked.
class TimedReads final : public BlockReads {
 public:
  struct Time final : Clock {
    Instant now() const override { return at; }
    std::chrono::sys_seconds wall_now() const override { return {}; }
    Task<void> sleep_until(Instant) override { co_return; }
    Instant at{};
  };
  explicit TimedReads(Time& time) : time_(time) {}
  std::uint64_t size() const override { return std::uint64_t{1} << 30; }
  std::uint32_t alignment() const override { return 512; }
  std::string_view kind() const override { return "timed"; }
  Result<void> submit(std::span<const BlockRead> reads) override {
    out_.insert(out_.end(), reads.begin(), reads.end());
    asked.insert(asked.end(), reads.begin(), reads.end());
    return {};
  }
  std::size_t wait(std::span<BlockReadDone> done, std::size_t, std::chrono::nanoseconds) override {
    const std::size_t count = std::min(done.size(), out_.size());
    for (std::size_t i = 0; i < count; ++i) {
      time_.at += std::chrono::microseconds(5) + std::chrono::nanoseconds(out_[i].out.size());
      done[i] = {out_[i].tag, {}};
    }
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  std::vector<BlockRead> asked;

 private:
  Time& time_;
  std::vector<BlockRead> out_;
};

// A matrix of 4096 rows of 1088 bytes.
struct Matrix {
  Matrix() {
    pages.manifest.tensors.push_back({.name = "blocks.0.ffn.value.weight",
                                      .shape = {1024, 4096},
                                      .format = Format::kQ8,
                                      .layout = Layout::kRows,
                                      .rows = 4096,
                                      .cols = 1024,
                                      .segments = {{0, 0, 0, 4096}}});
    pages.offsets = {4096};
  }
  paging::StoredPages pages;
};

TEST(ReadCost, AGapCostsAThirdOfAnotherReadAndAWideOneAsMuch) {
  const Matrix matrix;
  const RowTable table(matrix.pages, 0);
  TimedReads::Time time;
  TimedReads reads(time);
  paging::AlignedMemory memory(std::size_t{4} << 20);
  const auto cost = paging::measure_reads(reads, time, {&table, 1}, memory.bytes());
  ASSERT_TRUE(cost);
  EXPECT_NEAR(static_cast<double>(cost->gap()), 1666, 10);
  EXPECT_NEAR(static_cast<double>(cost->wide_gap()), 5000, 10);  // as much as another read
  // Where nothing can be measured there is a usual one.
  const auto none = paging::measure_reads(reads, time, {&table, 1}, memory.bytes().first(8192));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->gap(), ReadCost::kUsualGap);
  EXPECT_EQ(none->wide_gap(), 2 * ReadCost::kUsualGap);
}

TEST(ReadCost, WhereReadsCostOnlyTheirBytesNothingIsReadBetween) {
  EXPECT_LT((ReadCost{.each = 1e-7, .byte = 1.0 / 300e6}.gap()), 16U);
  EXPECT_EQ((ReadCost{.each = -1e-7, .byte = 1.0 / 300e6}.gap()), 0U);
}

TEST(RowsAhead, NeverReadsBeyondItsBuffer) {
  const Matrix matrix;
  const RowTable table(matrix.pages, 0), other(matrix.pages, 0);
  TimedReads::Time time;
  auto owned = std::make_unique<TimedReads>(time);
  const TimedReads& reads = *owned;
  PagerCounters counters;
  RowsAhead ahead(kAhead, table.rows, std::move(owned), counters);
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < table.rows; row += 5) rows.push_back(row);
  ahead.begin(table, 0, rows, 1024);
  std::uint64_t bytes = 0;
  for (const BlockRead& read : reads.asked) bytes += read.out.size();
  EXPECT_LE(bytes, kAhead / 2);
  EXPECT_GT(bytes, kAhead / 2 - 4096);
  EXPECT_LT(counters.rows_guessed, rows.size());
  // Nor does more for the same matrix, or the next one.
  const std::size_t before = reads.asked.size();
  ahead.begin(table, 0, rows, 1024);
  EXPECT_EQ(reads.asked.size(), before);
  ahead.take(0);
  ahead.begin(other, 1, rows, 1024);
  const BlockRead& first = reads.asked.front();
  for (std::size_t i = before; i < reads.asked.size(); ++i) {
    const std::byte* const at = reads.asked[i].out.data();
    EXPECT_TRUE(at < first.out.data() || at >= first.out.data() + kAhead / 2);
  }
}

TEST(RowsAhead, RowsBetweenTwoOfARead) {
  const Matrix matrix;
  const RowTable table(matrix.pages, 0);
  TimedReads::Time time;
  PagerCounters counters;
  RowsAhead ahead(kAhead, table.rows, std::make_unique<TimedReads>(time), counters);
  const std::vector<std::uint32_t> rows = {3, 6, 100};
  ahead.begin(table, 0, rows, 4096);
  for (std::uint32_t row = 0; row < 200; ++row) {
    EXPECT_EQ(ahead.has(0, row), (row >= 3 && row <= 6) || row == 100) << row;
  }
  ahead.take(0);
  EXPECT_EQ(ahead.at(5) - ahead.at(3), 2 * 1088);
  EXPECT_TRUE(ahead.was_guessed(6));
  EXPECT_FALSE(ahead.was_guessed(5));
}

TEST(RowGuess, ChancesAreWhatCameTrue) {
  const Matrix matrix;
  RowTable table(matrix.pages, 0);
  RowGuess guess(table.rows, nullptr);
  // Every row that was wanted once is wanted from then on; one of four.
  std::vector<std::uint8_t> wanted(table.rows);
  for (std::uint32_t row = 0; row < table.rows; row += 4) wanted[row] = 1;
  for (int pass = 0; pass < 40; ++pass) {
    guess.look_back(table, 0);
    guess.learn(table, 0, wanted);
    table.count(wanted);
  }
  guess.look_back(table, 0);
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    ASSERT_EQ(guess.is_likely(row), wanted[row] != 0) << row;
  }
}

TEST(RowGuess, TheThresholdIsWhatAGuessCostsInMisses) {
  RowGuess guess(16, nullptr);
  EXPECT_DOUBLE_EQ(guess.threshold(), RowGuess::kFirstChance);
  using std::chrono::microseconds;
  guess.balance({100, 50, microseconds(200), microseconds(600), microseconds(500)});
  EXPECT_NEAR(guess.threshold(), 0.8, 1e-9);
  for (int i = 0; i < 100; ++i) guess.balance({100, 50, {}, {}, microseconds(500)});
  EXPECT_DOUBLE_EQ(guess.threshold(), RowGuess::kLeastByRecency);
  for (int i = 0; i < 100; ++i) guess.balance({100, 50, {}, microseconds(5000), microseconds(500)});
  EXPECT_DOUBLE_EQ(guess.threshold(), RowGuess::kMostByRecency);
  // Without guesses nothing is learned: a few are tried again.
  for (int i = 0; i < 100; ++i) guess.balance({0, 50, {}, {}, microseconds(500)});
  EXPECT_DOUBLE_EQ(guess.threshold(), RowGuess::kLeastByRecency);
}

}  // namespace
}  // namespace skein
