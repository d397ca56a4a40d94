#include "coordinator/federation/round_controller.h"

#include <algorithm>

#include "common/model/evaluate.h"
#include "tests/coordinator/federation/round_world.h"

namespace skein {
namespace {

using test::digest_of;
using test::RoundWorld;
using test::SampleUpdate;

bool has_uploads(const RoundWorld& given) {
  const auto paths = given.world.disk.paths();
  return std::ranges::any_of(paths, [](const auto& p) { return p.ends_with(".update"); });
}

TEST(RoundController, PublishesWhatItsDevicesLearned) {
  RoundWorld given;
  const RoundId round = given.open_round(3, 3);
  for (const std::uint64_t device : {1U, 2U, 3U}) {
    const auto sent = given.send(device, given.good_update(round, device));
    ASSERT_TRUE(sent) << to_string(sent.error());
  }
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kAggregating);

  ASSERT_TRUE(given.tick());

  const RoundStatus status = given.status(round);
  ASSERT_EQ(status.record.phase, RoundPhase::kPublished) << status.record.reason;
  EXPECT_LT(*status.record.candidate_loss, *status.record.base_loss);
  EXPECT_EQ(status.counted, 3U);
  EXPECT_EQ(status.tokens, 306U);
  EXPECT_EQ(status.raw_bytes, 3 * given.lesson->delta.size() * sizeof(float));
  EXPECT_GT(status.packed_bytes, 0U);
  EXPECT_EQ(status.device_loss_after, 4);
  EXPECT_FALSE(has_uploads(given));
  // Then what was published is what was promised, and evaluates as recorded
  ASSERT_EQ(given.published.size(), 1U);
  EXPECT_EQ(digest_of(*given.published[0]), status.record.candidate);
  EXPECT_EQ(given.published[0]->manifest().parent, given.golden.digest);
  EXPECT_EQ(given.published[0]->manifest().version, "v1+round1");
  const auto model = Model::open(*given.published[0]);
  ASSERT_TRUE(model);
  const auto ids = (*model)->tokenizer()->encode(test::warm_joints(2));
  SerialParallel serial;
  const EvalResult result = evaluate(**model, serial, *ids, 32).value();
  EXPECT_EQ(result.nll / static_cast<double>(result.tokens), status.record.candidate_loss);
}

TEST(RoundController, TheArtifactDoesNotDependOnTheOrderOfArrival) {
  std::optional<Digest> first;
  for (const auto& order :
       std::vector<std::vector<std::uint64_t>>{{1, 2, 3}, {3, 1, 2}, {2, 3, 1}}) {
    RoundWorld given;
    const RoundId round = given.open_round(3, 3);
    for (const std::uint64_t device : order) {
      ASSERT_TRUE(given.send(device, given.good_update(round, device)));
    }
    ASSERT_TRUE(given.tick());
    const auto candidate = given.status(round).record.candidate;
    ASSERT_TRUE(candidate);
    if (!first) first = candidate;
    EXPECT_EQ(candidate, first);
  }
}

TEST(RoundController, OffersOnlyToDevicesThatHaveTheBase) {
  RoundWorld given;
  EXPECT_FALSE(given.offered(1));
  given.open_round(1, 1);
  EXPECT_EQ(given.controller->offer_for(DeviceId(1), std::nullopt), std::nullopt);
  EXPECT_EQ(given.controller->offer_for(DeviceId(1), sha256(as_bytes("x"))), std::nullopt);
  const auto offer = given.controller->offer_for(DeviceId(1), given.golden.digest);
  ASSERT_TRUE(offer && offer->has_value());
  EXPECT_EQ((*offer)->artifact, given.golden.digest);
  EXPECT_EQ((*offer)->round, RoundId(1));
  EXPECT_FALSE(given.offered(2));  // one is enough
}

TEST(RoundController, BelowQuorumAtTheDeadlineFails) {
  RoundWorld given;
  const RoundId round = given.open_round(2, 3);
  ASSERT_TRUE(given.send(1, given.good_update(round, 1)));
  given.offered(2);
  given.world.clock.advance(std::chrono::seconds(599));
  ASSERT_TRUE(given.tick());
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kCollecting);
  given.world.clock.advance(std::chrono::seconds(1));
  ASSERT_TRUE(given.tick());
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kFailed);
  EXPECT_NE(given.status(round).record.reason.find("below quorum"), std::string::npos);
  EXPECT_FALSE(has_uploads(given));
  EXPECT_TRUE(given.published.empty());
  const auto late = given.send(2, given.good_update(round, 2));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::kConflict);
}

TEST(RoundController, WhatDoesNotHelpIsNotPublished) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 1);
  std::vector<float> delta = given.lesson->delta;
  for (float& value : delta) value *= -3;
  ASSERT_TRUE(given.send(1, test::sample_update(round, delta, 10)));
  ASSERT_TRUE(given.tick());
  const RoundRecord record = given.status(round).record;
  EXPECT_EQ(record.phase, RoundPhase::kFailed);
  EXPECT_NE(record.reason.find("not better"), std::string::npos);
  EXPECT_GE(*record.candidate_loss, *record.base_loss);
  EXPECT_TRUE(given.published.empty());
}

TEST(RoundController, OneRoundAtATimeAndOnlyFromAKnownBase) {
  RoundWorld given;
  RoundPlan unknown = given.plan(1, 1);
  unknown.offer.artifact = sha256(as_bytes("unknown"));
  EXPECT_EQ(test::run_task(given.controller->open_round(unknown)).error().code, Errc::kNotFound);
  RoundPlan senseless = given.plan(5, 1);
  EXPECT_EQ(test::run_task(given.controller->open_round(senseless)).error().code, Errc::kUsage);
  const RoundId round = given.open_round(1, 1);
  EXPECT_EQ(test::run_task(given.controller->open_round(given.plan(1, 1))).error().code,
            Errc::kConflict);
  ASSERT_TRUE(test::run_task(given.controller->call_off(round, "enough")));
  EXPECT_EQ(given.status(round).record.reason, "enough");
  EXPECT_EQ(given.open_round(1, 1), RoundId(2));
}

TEST(RoundController, TriesPublishingAgainAndGivesUpInTheEnd) {
  RoundWorld given;
  RoundId round = given.open_round(1, 1);
  ASSERT_TRUE(given.send(1, given.good_update(round, 1)));
  given.publishing_fails = 2;
  EXPECT_FALSE(given.tick());
  EXPECT_FALSE(given.tick());
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kEvaluating);
  EXPECT_TRUE(given.tick());
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kPublished);

  round = given.open_round(1, 1);
  ASSERT_TRUE(given.send(1, given.good_update(round, 1)));
  given.publishing_fails = 100;
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(given.tick());
  EXPECT_TRUE(given.tick());
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kFailed);
  EXPECT_EQ(given.published.size(), 1U);
}

TEST(RoundController, AMissingHeldOutTextIsAReason) {
  RoundWorld given;
  const RoundId round = given.open_round(1, 1);
  ASSERT_TRUE(given.send(1, given.good_update(round, 1)));
  ASSERT_TRUE(test::run_task(given.world.disk.remove("held/out.txt")));
  for (int i = 0; i < 5; ++i) (void)given.tick();
  EXPECT_EQ(given.status(round).record.phase, RoundPhase::kFailed);
  EXPECT_NE(given.status(round).record.reason.find("held/out.txt"), std::string::npos);
}

}  // namespace
}  // namespace skein
