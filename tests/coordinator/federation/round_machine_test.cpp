#include "coordinator/federation/round_machine.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

#include "common/crypto/sha256.h"

namespace skein {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

const sys_seconds kStart{seconds(1'000'000)};
const sys_seconds kLate = kStart + seconds(100);

RoundPlan plan(std::uint32_t quorum, std::uint32_t invite) {
  RoundPlan made{.offer = {}, .quorum = quorum, .invite = invite, .seconds = 100};
  made.offer.learning_rate = 0.1F;
  return made;
}

UploadBegin upload(std::uint64_t content, std::uint64_t tokens = 10) {
  return {.round = RoundId(5),
          .content = sha256(std::as_bytes(std::span(&content, 1))),
          .bytes = 100,
          .raw_bytes = 400,
          .tokens = tokens,
          .loss_before = 4,
          .loss_after = 3};
}

struct Given {
  Given(std::uint32_t quorum, std::uint32_t invite)
      : machine(RoundId(5), plan(quorum, invite), kStart) {}
  RoundAction step(const RoundEvent& event, sys_seconds now = kStart) {
    const auto action = machine.step(event, now);
    EXPECT_TRUE(action) << to_string(action.error());
    return action.value_or(RoundAction::kNone);
  }
  Errc refused(const RoundEvent& event, sys_seconds now = kStart) {
    const RoundRecord before = machine.record();
    const auto action = machine.step(event, now);
    EXPECT_FALSE(action);
    EXPECT_EQ(machine.record(), before);
    return action ? Errc::kUsage : action.error().code;
  }
  RoundAction count(std::uint64_t device) {
    step(DeviceReady{DeviceId(device)});
    step(UploadBegun{DeviceId(device), upload(device)});
    return step(UpdateVerified{DeviceId(device), upload(device).content});
  }
  RoundPhase phase() const { return machine.record().phase; }
  RoundMachine machine;
};

TEST(RoundMachine, WalksFromOpenToPublished) {
  Given given(2, 3);
  EXPECT_EQ(given.phase(), RoundPhase::kOpen);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(9)}), RoundAction::kOffer);
  EXPECT_EQ(given.phase(), RoundPhase::kSelecting);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(4)}), RoundAction::kOffer);
  EXPECT_EQ(given.phase(), RoundPhase::kTraining);
  EXPECT_EQ(given.count(9), RoundAction::kNone);
  EXPECT_EQ(given.phase(), RoundPhase::kCollecting);
  EXPECT_EQ(given.count(4), RoundAction::kAggregate);
  EXPECT_EQ(given.phase(), RoundPhase::kAggregating);
  EXPECT_EQ(given.step(Aggregated{}), RoundAction::kEvaluate);
  EXPECT_EQ(given.step(Evaluated{4.0, 3.9, upload(1).content}), RoundAction::kPublish);
  EXPECT_EQ(given.phase(), RoundPhase::kEvaluating);
  EXPECT_EQ(given.step(CandidatePublished{}), RoundAction::kCleanUp);
  EXPECT_EQ(given.phase(), RoundPhase::kPublished);
  EXPECT_EQ(given.machine.record().candidate_loss, 3.9);
}

TEST(RoundMachine, OffersAgainUntilCountedAndToNoMoreThanInvited) {
  Given given(2, 2);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(1)}), RoundAction::kOffer);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(1)}), RoundAction::kOffer);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(2)}), RoundAction::kOffer);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(3)}), RoundAction::kNone);
  given.count(1);
  EXPECT_EQ(given.step(DeviceReady{DeviceId(1)}), RoundAction::kNone);
  EXPECT_EQ(given.refused(UploadBegun{DeviceId(3), upload(3)}), Errc::kRefused);
}

TEST(RoundMachine, BelowQuorumAtTheDeadlineFailsAndSaysSo) {
  Given given(3, 5);
  given.count(1);
  given.step(DeviceReady{DeviceId(2)});
  EXPECT_EQ(given.step(TimePassed{}, kLate - seconds(1)), RoundAction::kNone);
  EXPECT_EQ(given.step(TimePassed{}, kLate), RoundAction::kCleanUp);
  EXPECT_EQ(given.phase(), RoundPhase::kFailed);
  EXPECT_EQ(given.machine.record().reason,
            "below quorum at the deadline: 1 of 3 updates had come from 2 devices asked");
}

TEST(RoundMachine, ARepeatedUpdateIsCountedOnce) {
  Given given(2, 2);
  given.count(1);
  EXPECT_EQ(given.step(UploadBegun{DeviceId(1), upload(1)}), RoundAction::kNone);
  EXPECT_EQ(given.step(UpdateVerified{DeviceId(1), upload(1).content}), RoundAction::kNone);
  EXPECT_EQ(given.machine.counted(), 1U);
  EXPECT_EQ(given.refused(UploadBegun{DeviceId(1), upload(77)}), Errc::kConflict);
}

TEST(RoundMachine, ALateUpdateIsToldSo) {
  Given given(1, 2);
  given.step(DeviceReady{DeviceId(2)});
  given.step(UploadBegun{DeviceId(2), upload(2)});
  given.count(1);
  EXPECT_EQ(given.refused(UpdateVerified{DeviceId(2), upload(2).content}), Errc::kConflict);
  EXPECT_EQ(given.refused(UploadBegun{DeviceId(2), upload(2)}), Errc::kConflict);
  // The one that was counted may ask again and hears that it was
  EXPECT_EQ(given.step(UploadBegun{DeviceId(1), upload(1)}), RoundAction::kNone);
  // and past the deadline nothing is taken, before anyone has looked at the clock
  Given idle(1, 1);
  idle.step(DeviceReady{DeviceId(1)});
  EXPECT_EQ(idle.refused(UploadBegun{DeviceId(1), upload(1)}, kLate), Errc::kConflict);
}

TEST(RoundMachine, RefusesUpdatesWithoutSense) {
  Given given(1, 1);
  given.step(DeviceReady{DeviceId(1)});
  EXPECT_EQ(given.refused(UploadBegun{DeviceId(1), upload(1, 0)}), Errc::kRefused);
  EXPECT_EQ(given.refused(UploadBegun{DeviceId(1), upload(1, kMaxUpdateTokens + 1)}),
            Errc::kRefused);
  UploadBegin endless = upload(1);
  endless.loss_after = std::numeric_limits<double>::infinity();
  EXPECT_EQ(given.refused(UploadBegun{DeviceId(1), endless}), Errc::kRefused);
  EXPECT_EQ(given.refused(UpdateVerified{DeviceId(1), upload(1).content}), Errc::kConflict);
}

TEST(RoundMachine, NotBetterIsNotPublished) {
  Given given(1, 1);
  given.count(1);
  given.step(Aggregated{});
  EXPECT_EQ(given.step(Evaluated{4.0, 4.0, upload(1).content}), RoundAction::kCleanUp);
  EXPECT_EQ(given.phase(), RoundPhase::kFailed);
  EXPECT_NE(given.machine.record().reason.find("not better"), std::string::npos);
  EXPECT_EQ(given.refused(CandidatePublished{}), Errc::kConflict);
}

TEST(RoundMachine, NotANumberIsNotBetter) {
  Given given(1, 1);
  given.count(1);
  given.step(Aggregated{});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(given.step(Evaluated{4.0, nan, upload(1).content}), RoundAction::kCleanUp);
}

TEST(RoundMachine, KnowsAfterARestartWhatWasUnderWay) {
  Given given(1, 1);
  EXPECT_EQ(given.machine.unfinished(), RoundAction::kNone);
  given.count(1);
  EXPECT_EQ(RoundMachine(given.machine.record()).unfinished(), RoundAction::kAggregate);
  given.step(Aggregated{});
  EXPECT_EQ(RoundMachine(given.machine.record()).unfinished(), RoundAction::kEvaluate);
  given.step(Evaluated{4.0, 3.0, upload(1).content});
  EXPECT_EQ(RoundMachine(given.machine.record()).unfinished(), RoundAction::kPublish);
  given.step(CandidatePublished{});
  EXPECT_EQ(RoundMachine(given.machine.record()).unfinished(), RoundAction::kNone);
}

TEST(RoundMachine, PlansHaveBounds) {
  EXPECT_TRUE(check_plan(plan(1, 1)));
  EXPECT_FALSE(check_plan(plan(2, 1)));
  EXPECT_FALSE(check_plan(plan(0, 1)));
  EXPECT_FALSE(check_plan(plan(1, kMaxRoundDevices + 1)));
  RoundPlan bad = plan(1, 1);
  bad.offer.learning_rate = -1;
  EXPECT_FALSE(check_plan(bad));
  bad = plan(1, 1);
  bad.seconds = 0;
  EXPECT_FALSE(check_plan(bad));
  bad = plan(1, 1);
  bad.offer.context = 0;
  EXPECT_FALSE(check_plan(bad));
}

RoundEvent random_event(std::mt19937_64& random) {
  const DeviceId device(random() % 6);
  const UploadBegin which = upload(random() % 8, random() % 3);
  switch (random() % 12) {
    case 0:
      return TimePassed{};
    case 1:
      return Aggregated{};
    case 2:
      return Evaluated{4, static_cast<double>(random() % 3) + 3, which.content};
    case 3:
      return CandidatePublished{};
    case 4:
      return UpdateRejected{device};
    case 5:
    case 6:
    case 7:
      return UploadBegun{device, which};
    case 8:
    case 9:
      return UpdateVerified{device, which.content};
    default:
      return DeviceReady{device};
  }
}

// Whatever comes in whatever order: phases only move on, devices are counted once and stay
// counted, nobody beyond the invited takes part, and the quorum is exact.
TEST(RoundMachine, KeepsItsPromisesUnderAnyStreamOfEvents) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    RoundMachine machine(RoundId(5), plan(2, 4), kStart);
    std::map<DeviceId, Digest> counted;
    for (int i = 0; i < 200; ++i) {
      const RoundPhase before = machine.record().phase;
      const sys_seconds now = kStart + seconds(i < 150 ? i / 4 : i);
      (void)machine.step(random_event(random), now);
      const RoundRecord& record = machine.record();
      ASSERT_GE(record.phase, before);
      ASSERT_LE(record.participants.size(), 4U);
      ASSERT_LE(machine.counted(), 2U);
      if (machine.counted() == 2) ASSERT_GE(record.phase, RoundPhase::kAggregating);
      for (const Participant& each : record.participants) {
        if (counted.contains(each.device)) ASSERT_EQ(each.upload->content, counted[each.device]);
        if (each.counted) counted[each.device] = each.upload->content;
      }
      ASSERT_EQ(machine.counted(), counted.size());
      if (record.phase == RoundPhase::kPublished) ASSERT_LT(*record.candidate_loss, 4);
    }
  }
}

}  // namespace
}  // namespace skein
