#include "edge_node/update/update_machine.h"

#include <gtest/gtest.h>

#include <random>

namespace skein {
namespace {

using Action = UpdateAction;
using Event = UpdateEvent;

Digest digest(unsigned char number) {
  Digest made;
  made.bytes[0] = std::byte{number};
  return made;
}
UpdateOffer offer(std::uint64_t rollout, unsigned char artifact) {
  return {RolloutId(rollout), digest(artifact), 1000};
}
Instant at(Duration since_start) { return Instant(since_start); }
constexpr Duration kSecond = std::chrono::seconds(1);
constexpr std::uint64_t kPlenty = 1ULL << 40;

UpdateMachine downloading(std::uint64_t rollout, unsigned char artifact) {
  UpdateMachine machine;
  machine.step(Event::Offered{offer(rollout, artifact), std::nullopt}, at({}));
  machine.step(Event::ManifestHeld{digest(artifact), 10, 1000, kPlenty}, at({}));
  return machine;
}

TEST(UpdateMachine, WalksFromOfferToCommitted) {
  UpdateMachine machine;
  const Digest target = digest(2);
  EXPECT_EQ(machine.step(Event::Offered{offer(1, 2), digest(1)}, at({})),
            UpdateActions{Action::kGetManifest});
  EXPECT_EQ(machine.step(Event::ManifestHeld{target, 3, 300, kPlenty}, at({})),
            (UpdateActions{Action::kGetPages, Action::kHeartbeat}));
  EXPECT_EQ(machine.step(Event::BatchStored{target, 2, 200, 1}, at({})),
            UpdateActions{Action::kGetPages});
  EXPECT_EQ(machine.step(Event::BatchStored{target, 1, 100, 0}, at({})),
            UpdateActions{Action::kRunCanary});
  EXPECT_EQ(machine.step(Event::CanaryPassed{target}, at({})), UpdateActions{Action::kSwitchSlot});
  EXPECT_EQ(machine.step(Event::Switched{target}, at({})),
            (UpdateActions{Action::kSaveJournal, Action::kHeartbeat, Action::kSweepPages}));
  ASSERT_EQ(machine.reports().size(), 1U);
  const StepReport expected{RolloutId(1), target, DeviceStep::kCommitted, "", 300, 3};
  EXPECT_EQ(machine.reports()[0], expected);
  EXPECT_FALSE(machine.current());
}

TEST(UpdateMachine, ReportsUntilTheCoordinatorHasRecordedThatVeryStep) {
  UpdateMachine machine = downloading(1, 2);
  machine.step(Event::Rejected{digest(2), "page: bad"}, at({}));
  machine.step(Event::Recorded{RolloutId(1), DeviceStep::kDownloading}, at({}));
  ASSERT_EQ(machine.reports().size(), 1U);
  EXPECT_EQ(machine.reports()[0].reason, "page: bad");
  EXPECT_EQ(machine.step(Event::Recorded{RolloutId(1), DeviceStep::kFailed}, at({})),
            UpdateActions{Action::kSaveJournal});
  EXPECT_TRUE(machine.reports().empty());
}

TEST(UpdateMachine, SaysCommittedAgainWhenTheArtifactIsAlreadyActive) {
  UpdateMachine machine;
  machine.step(Event::Offered{offer(7, 2), digest(2)}, at({}));
  ASSERT_EQ(machine.reports().size(), 1U);
  EXPECT_EQ(machine.reports()[0].step, DeviceStep::kCommitted);
  EXPECT_FALSE(machine.current());
}

TEST(UpdateMachine, RefusesWhenTheMissingPagesDoNotFit) {
  UpdateMachine machine;
  machine.step(Event::Offered{offer(1, 2), std::nullopt}, at({}));
  machine.step(Event::ManifestHeld{digest(2), 1, 1000, 1000}, at({}));
  ASSERT_EQ(machine.reports().size(), 1U);
  EXPECT_EQ(machine.reports()[0].step, DeviceStep::kFailed);
  EXPECT_EQ(machine.reports()[0].reason.substr(0, 5), "disk:");
}

TEST(UpdateMachine, SkipsTheDownloadWhenNoPageIsMissing) {
  UpdateMachine machine;
  machine.step(Event::Offered{offer(1, 2), std::nullopt}, at({}));
  EXPECT_EQ(machine.step(Event::ManifestHeld{digest(2), 0, 0, 0}, at({})),
            UpdateActions{Action::kRunCanary});
}

TEST(UpdateMachine, ResumesACutDownloadAtTheNextOfferAndWaitsLongerEachTime) {
  UpdateMachine machine = downloading(1, 2);
  const Event::Offered again{offer(1, 2), std::nullopt};
  machine.step(Event::LinkFailed{digest(2), 0, 0}, at({}));
  EXPECT_TRUE(machine.step(again, at(kFirstResume / 2)).empty());
  EXPECT_EQ(machine.step(again, at(kFirstResume)), UpdateActions{Action::kGetPages});
  machine.step(Event::LinkFailed{digest(2), 0, 0}, at(kSecond));
  EXPECT_TRUE(machine.step(again, at(kSecond + kFirstResume)).empty());
  EXPECT_EQ(machine.step(again, at(kSecond + 2 * kFirstResume)), UpdateActions{Action::kGetPages});
  EXPECT_TRUE(machine.step(again, at(2 * kSecond)).empty());  // already at it
}

TEST(UpdateMachine, AsksForTheManifestAgainWhenTheLinkWasCutBeforeItCame) {
  UpdateMachine machine;
  const Event::Offered again{offer(1, 2), std::nullopt};
  machine.step(again, at({}));
  machine.step(Event::LinkFailed{digest(2), 0, 0}, at({}));
  EXPECT_EQ(machine.step(again, at(kSecond)), UpdateActions{Action::kGetManifest});
}

TEST(UpdateMachine, TriesAFailedRolloutAgainOnlyAfterItWasRecordedAndTimeHasPassed) {
  UpdateMachine machine = downloading(1, 2);
  const Event::Offered again{offer(1, 2), std::nullopt};
  machine.step(Event::Rejected{digest(2), "canary: not finite"}, at({}));
  EXPECT_TRUE(machine.step(again, at(kMaxRetry)).empty());  // not recorded yet
  machine.step(Event::Recorded{RolloutId(1), DeviceStep::kFailed}, at({}));
  EXPECT_TRUE(machine.step(again, at(kFirstRetry - Duration(1))).empty());
  EXPECT_EQ(machine.step(again, at(kFirstRetry)), UpdateActions{Action::kGetManifest});
}

TEST(UpdateMachine, TakesANewRolloutAtOnceAfterAFailedOne) {
  UpdateMachine machine = downloading(1, 2);
  machine.step(Event::Rejected{digest(2), "page: bad"}, at({}));
  EXPECT_EQ(machine.step(Event::Offered{offer(2, 3), std::nullopt}, at({})),
            UpdateActions{Action::kGetManifest});
  EXPECT_EQ(machine.reports().size(), 2U);
}

TEST(UpdateMachine, LeavesASupersededArtifactAndIgnoresItsLateEvents) {
  UpdateMachine machine = downloading(1, 2);
  machine.step(Event::Offered{offer(2, 3), std::nullopt}, at({}));
  EXPECT_EQ(machine.current()->artifact, digest(3));
  EXPECT_TRUE(machine.step(Event::BatchStored{digest(2), 5, 500, 0}, at({})).empty());
  EXPECT_TRUE(machine.step(Event::CanaryPassed{digest(2)}, at({})).empty());
  EXPECT_EQ(machine.reports()[0].reason.substr(0, 10), "superseded");
}

TEST(UpdateMachine, GivesUpWhenTheCoordinatorHasNoneOfTheMissingPages) {
  UpdateMachine machine = downloading(1, 2);
  for (unsigned i = 0; i + 1 < kMaxEmptyBatches; ++i) {
    EXPECT_EQ(machine.step(Event::BatchStored{digest(2), 0, 0, 4}, at({})),
              UpdateActions{Action::kGetPages});
  }
  machine.step(Event::BatchStored{digest(2), 0, 0, 4}, at({}));
  EXPECT_EQ(machine.reports()[0].step, DeviceStep::kFailed);
}

TEST(UpdateMachine, CarriesUnrecordedReportsAndFailuresThroughTheJournal) {
  UpdateMachine before = downloading(1, 2);
  before.step(Event::Rejected{digest(2), "page: bad"}, at({}));
  UpdateMachine after(before.journal(), at(kSecond));
  EXPECT_EQ(after.journal(), before.journal());
  EXPECT_EQ(after.reports(), before.reports());
  after.step(Event::Recorded{RolloutId(1), DeviceStep::kFailed}, at(kSecond));
  const Event::Offered again{offer(1, 2), std::nullopt};
  EXPECT_TRUE(after.step(again, at(kSecond)).empty());
  EXPECT_FALSE(after.step(again, at(kSecond + kFirstRetry)).empty());
}

TEST(UpdateMachine, KeepsItsTablesWithinTheirLimits) {
  UpdateMachine machine;
  for (std::uint64_t rollout = 1; rollout <= 3 * kMaxFailures; ++rollout) {
    machine.step(Event::Offered{offer(rollout, 9), std::nullopt}, at({}));
    machine.step(Event::Rejected{digest(9), std::string(3 * kMaxText, 'x')}, at({}));
    EXPECT_LE(machine.reports().size(), kMaxStepReports);
    EXPECT_LE(machine.journal().failures.size(), kMaxFailures);
    EXPECT_LE(machine.reports().back().reason.size(), kMaxText);
  }
}

TEST(UpdateMachine, RepairsWithoutTellingTheCoordinator) {
  UpdateMachine machine;
  const Event::Offered repair{{kRepair, digest(2), 0}, digest(1)};
  EXPECT_EQ(machine.step(repair, at({})), UpdateActions{Action::kGetManifest});
  EXPECT_TRUE(machine.reports().empty());
  machine.step(Event::Rejected{digest(2), "page: bad"}, at({}));
  EXPECT_TRUE(machine.reports().empty());
  EXPECT_TRUE(machine.step(repair, at(kFirstRetry / 2)).empty());
  EXPECT_EQ(machine.step(repair, at(kFirstRetry)), UpdateActions{Action::kGetManifest});
}

TEST(UpdateMachine, RepairsWhatIsActiveButCouldNotBeLoaded) {
  UpdateMachine machine;
  const Event::Offered repair{{kRepair, digest(2), 0}, digest(2)};
  EXPECT_EQ(machine.step(repair, at({})), UpdateActions{Action::kGetManifest});
}

AnyUpdateEvent random_event(std::mt19937_64& random) {
  const auto artifact = static_cast<unsigned char>(1 + random() % 3);
  const std::uint64_t rollout = 1 + random() % 4;
  switch (random() % 8) {
    case 0:
    case 1:
      return Event::Offered{offer(rollout, artifact), digest(1)};
    case 2:
      return Event::ManifestHeld{digest(artifact), random() % 3, 100,
                                 random() % 4 == 0 ? 0 : kPlenty};
    case 3:
      return Event::BatchStored{digest(artifact), static_cast<std::uint32_t>(random() % 2), 10,
                                random() % 3};
    case 4:
      return Event::LinkFailed{digest(artifact), 0, 0};
    case 5:
      return Event::Rejected{digest(artifact), "page: bad"};
    case 6:
      return random() % 2 == 0 ? AnyUpdateEvent(Event::CanaryPassed{digest(artifact)})
                               : AnyUpdateEvent(Event::Switched{digest(artifact)});
    default:
      return Event::Recorded{RolloutId(rollout),
                             random() % 2 == 0 ? DeviceStep::kFailed : DeviceStep::kCommitted};
  }
}

void expect_actions_fit(const AnyUpdateEvent& event, const UpdateActions& actions) {
  for (const UpdateAction action : actions) {
    if (action == Action::kSwitchSlot) {
      EXPECT_TRUE(std::holds_alternative<Event::CanaryPassed>(event));
    }
    if (action == Action::kRunCanary) {
      EXPECT_FALSE(std::holds_alternative<Event::Offered>(event));
    }
  }
}

// Whatever comes in whatever order: no switch without a passed canary, no canary on an offer
// alone, bounded tables, and always a way on.
TEST(UpdateMachine, KeepsItsPromisesUnderRandomEvents) {
  std::mt19937_64 random(20261122);
  for (int life = 0; life < 200; ++life) {
    UpdateMachine machine;
    Instant now{};
    for (int i = 0; i < 200; ++i) {
      now += Duration(static_cast<std::int64_t>(random() % 3'000'000'000));
      const AnyUpdateEvent event = random_event(random);
      expect_actions_fit(event, machine.step(event, now));
      EXPECT_LE(machine.reports().size(), kMaxStepReports);
      if (random() % 50 == 0) machine = UpdateMachine(machine.journal(), now);
    }
    now += kMaxRetry + kMaxResume;
    for (const StepReport& report : machine.reports()) {
      machine.step(Event::Recorded{report.rollout, report.step}, now);
    }
    machine.step(Event::Offered{offer(99, 2), digest(1)}, now);
    ASSERT_TRUE(machine.current());
    EXPECT_EQ(machine.current()->artifact, digest(2));
  }
}

}  // namespace
}  // namespace skein
