// How updates arrive: resumed, repeated, late, too large, damaged; and restarts at every moment.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/coordinator/federation/round_world.h"

namespace skein {
namespace {

using test::MemoryDisk;
using test::RoundWorld;
using test::SampleUpdate;

TEST(Upload, ResumesAfterARestartWhereItStopped) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 1);
  const SampleUpdate update = given.good_update(round, 1);
  ASSERT_TRUE(given.offered(1));
  ASSERT_TRUE(given.begin(1, update.begin));
  const auto half = ByteView(update.packed).first(update.packed.size() / 2);
  EXPECT_EQ(given.chunk(1, round, 0, half)->have_bytes, half.size());

  ASSERT_TRUE(given.restart());

  const auto again = given.begin(1, update.begin);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(again->have_bytes, half.size());
  const auto rest =
      given.chunk(1, round, half.size(), ByteView(update.packed).subspan(half.size()));
  ASSERT_TRUE(rest) << to_string(rest.error());
  EXPECT_TRUE(rest->complete);
}

TEST(Upload, TellsWhereItIsWhenAChunkIsRepeatedOrTooFarAhead) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 1);
  const SampleUpdate update = given.good_update(round, 1);
  const ByteView bytes(update.packed);
  given.offered(1);
  EXPECT_EQ(given.chunk(1, round, 0, bytes.first(10)).error().code, Errc::kUsage);  // not begun
  ASSERT_TRUE(given.begin(1, update.begin));
  EXPECT_EQ(given.chunk(1, round, 0, bytes.first(100))->have_bytes, 100U);
  EXPECT_EQ(given.chunk(1, round, 0, bytes.first(100))->have_bytes, 100U);
  EXPECT_EQ(given.chunk(1, round, 500, bytes.subspan(500, 50))->have_bytes, 100U);
  EXPECT_EQ(given.chunk(1, round, 50, bytes.subspan(50, 150))->have_bytes, 200U);
  EXPECT_TRUE(given.chunk(1, round, 200, bytes.subspan(200))->complete);
  // After it is counted everything is answered with "complete"
  EXPECT_TRUE(given.chunk(1, round, 200, bytes.subspan(200))->complete);
  EXPECT_TRUE(given.begin(1, update.begin)->complete);
  EXPECT_EQ(given.status(round).counted, 1U);
}

TEST(Upload, IsCountedOnceHoweverOftenItIsSent) {
  RoundWorld given;
  const RoundId round = given.open_round(2, 2);
  const SampleUpdate update = given.good_update(round, 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(given.send(1, update)->complete);
  EXPECT_EQ(given.status(round).counted, 1U);
  EXPECT_EQ(given.send(1, given.good_update(round, 2)).error().code, Errc::kConflict);
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kCollecting);
}

TEST(Upload, LateOnesAreTurnedAway) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 2);
  const SampleUpdate late = given.good_update(round, 2);
  given.offered(2);
  ASSERT_TRUE(given.begin(2, late.begin));
  ASSERT_TRUE(given.send(1, given.good_update(round, 1)));
  const auto refused = given.chunk(2, round, 0, ByteView(late.packed).first(100));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kConflict);
  EXPECT_EQ(given.begin(3, late.begin).error().code, Errc::kRefused);  // was never asked
}

TEST(Upload, RefusesSizesThatDoNotFitTheBase) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 1);
  const SampleUpdate update = given.good_update(round, 1);
  given.offered(1);
  UploadBegin wrong = update.begin;
  wrong.raw_bytes += 4;
  EXPECT_EQ(given.begin(1, wrong).error().code, Errc::kRefused);
  wrong = update.begin;
  wrong.bytes = wrong.raw_bytes * 2 + 100'000;
  EXPECT_EQ(given.begin(1, wrong).error().code, Errc::kRefused);
  wrong = update.begin;
  wrong.round = RoundId(99);
  EXPECT_EQ(given.begin(1, wrong).error().code, Errc::kNotFound);
  ASSERT_TRUE(given.begin(1, update.begin));
  const Buffer much(update.packed.size() + 1);
  EXPECT_EQ(given.chunk(1, round, 0, much).error().code, Errc::kUsage);
  EXPECT_EQ(given.chunk(1, round, UINT64_MAX, Buffer(1)).error().code, Errc::kUsage);
}

TEST(Upload, DamagedBytesAreDroppedAndMayBeSentAgain) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 1);
  SampleUpdate damaged = given.good_update(round, 1);
  damaged.packed[damaged.packed.size() / 2] ^= std::byte{4};
  const auto refused = given.send(1, damaged);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  EXPECT_EQ(given.status(round).counted, 0U);
  EXPECT_TRUE(given.send(1, given.good_update(round, 1))->complete);
}

TEST(Upload, PoisonIsRefused) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 3);
  std::vector<float> delta = given.lesson->delta;
  delta[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(given.send(1, test::sample_update(round, delta, 10)).error().code, Errc::kRefused);
  delta[5] = 1e9F;
  EXPECT_EQ(given.send(2, test::sample_update(round, delta, 10)).error().code, Errc::kRefused);
  // Well hashed, but not what the codec makes
  SampleUpdate garbage = given.good_update(round, 3);
  std::ranges::fill(garbage.packed, std::byte{7});
  garbage.begin.content = sha256(garbage.packed);
  EXPECT_EQ(given.send(3, garbage).error().code, Errc::kRefused);
  EXPECT_EQ(given.status(round).counted, 0U);
}

// Tries each step again after a restart, until it is done: what a device and the app's loop do.
void play_to_the_end(RoundWorld& given, RoundId round, MemoryDisk::Cut cut) {
  for (int attempt = 0; attempt < 12; ++attempt) {
    const RoundPhase phase = given.status(round).record.phase;
    if (ended(phase)) return;
    bool failed = false;
    for (const std::uint64_t device : {1U, 2U}) {
      if (phase >= RoundPhase::kAggregating) continue;
      const auto sent = given.send(device, given.good_update(round, device));
      failed = failed || (!sent && sent.error().code != Errc::kConflict);
    }
    failed = !given.tick() || failed;
    if (failed) ASSERT_TRUE(given.restart(cut));
  }
}

class UploadCut : public testing::TestWithParam<MemoryDisk::Cut> {};

// The power is cut at the n-th disk operation, for every n: the round always ends published, each
// device counted once, with the artifact an undisturbed round gives.
TEST_P(UploadCut, AnyMomentIsSurvived) {
  std::optional<Digest> expected;
  bool reached_the_end = false;
  const auto lesson = std::make_shared<test::Lesson>();
  for (std::uint64_t n = 0; !reached_the_end; ++n) {
    RoundWorld given(lesson);
    const RoundId round = given.open_round(2, 2);
    if (expected) given.world.disk.fail_after(n);
    const std::uint64_t before = given.world.disk.operations();
    play_to_the_end(given, round, GetParam());
    const RoundStatus status = given.status(round);
    ASSERT_EQ(status.record.phase, RoundPhase::kPublished) << n << ": " << status.record.reason;
    ASSERT_EQ(status.counted, 2U);
    ASSERT_EQ(status.tokens, 203U);
    if (!expected) expected = status.record.candidate;
    ASSERT_EQ(status.record.candidate, expected) << n;
    ASSERT_GE(given.published.size(), 1U);
    for (const auto& artifact : given.published) {
      ASSERT_EQ(test::digest_of(*artifact), expected);
    }
    reached_the_end = n > 0 && given.world.disk.operations() - before < n;
  }
}

INSTANTIATE_TEST_SUITE_P(Upload, UploadCut,
                         testing::Values(MemoryDisk::Cut::kForgetsUnsynced,
                                         MemoryDisk::Cut::kKeepsNamesOfTornFiles));

}  // namespace
}  // namespace skein
