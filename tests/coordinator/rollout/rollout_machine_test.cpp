#include "coordinator/rollout/rollout_machine.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace skein {
namespace {

Digest digest_number(unsigned number) {
  Digest digest;
  digest.bytes[0] = std::byte(number);
  return digest;
}
const Digest kTarget = digest_number(2);
const Digest kBefore = digest_number(1);
constexpr DeviceId kFirst{1};
constexpr DeviceId kSecond{2};

RolloutRow ready_row() {
  RolloutRow row;
  row.id = RolloutId{5};
  row.artifact = kTarget;
  row.state = RolloutState::kReady;
  return row;
}

StepReport report(DeviceStep step, const Digest& artifact = kTarget, std::string reason = {}) {
  StepReport made;
  made.rollout = RolloutId{5};
  made.artifact = artifact;
  made.step = step;
  made.reason = std::move(reason);
  return made;
}

// Decides and adopts, as the controller does.
Result<void> apply(RolloutMachine& machine, const RolloutEvent& event) {
  TRY(const auto changes, machine.decide(event, 1000));
  machine.adopt(changes);
  return {};
}

RolloutMachine running_with(std::vector<DeviceJoined> fleet) {
  RolloutMachine machine(ready_row());
  EXPECT_TRUE(apply(machine, Operated{RolloutVerb::kStart, std::move(fleet)}));
  return machine;
}

DeviceStep step_of(const RolloutMachine& machine, DeviceId device) {
  return machine.devices().at(device).step;
}

struct VerbCase {
  RolloutVerb verb;
  RolloutState from;
  std::optional<RolloutState> to;  // nullopt = refused
};

TEST(RolloutMachine, EveryVerbInEveryStateLeadsWhereTheTableSays) {
  using enum RolloutState;
  using V = RolloutVerb;
  const std::vector<VerbCase> table = {
      {V::kStart, kDraft, {}},
      {V::kStart, kReady, kRunning},
      {V::kStart, kRunning, kRunning},
      {V::kStart, kPaused, {}},
      {V::kStart, kFinished, {}},
      {V::kStart, kAborted, {}},
      {V::kStart, kRolledBack, {}},
      {V::kPause, kDraft, {}},
      {V::kPause, kReady, {}},
      {V::kPause, kRunning, kPaused},
      {V::kPause, kPaused, kPaused},
      {V::kPause, kFinished, {}},
      {V::kPause, kAborted, {}},
      {V::kPause, kRolledBack, {}},
      {V::kResume, kDraft, {}},
      {V::kResume, kReady, {}},
      {V::kResume, kRunning, kRunning},
      {V::kResume, kPaused, kRunning},
      {V::kResume, kFinished, {}},
      {V::kResume, kAborted, {}},
      {V::kResume, kRolledBack, {}},
      {V::kAbort, kDraft, kAborted},
      {V::kAbort, kReady, kAborted},
      {V::kAbort, kRunning, kAborted},
      {V::kAbort, kPaused, kAborted},
      {V::kAbort, kFinished, {}},
      {V::kAbort, kAborted, kAborted},
      {V::kAbort, kRolledBack, {}},
      {V::kRetry, kDraft, {}},
      {V::kRetry, kReady, {}},
      {V::kRetry, kRunning, kRunning},
      {V::kRetry, kPaused, kPaused},
      {V::kRetry, kFinished, kFinished},
      {V::kRetry, kAborted, {}},
      {V::kRetry, kRolledBack, {}},
      {V::kRollBack, kDraft, {}},
      {V::kRollBack, kReady, {}},
      {V::kRollBack, kRunning, kRolledBack},
      {V::kRollBack, kPaused, kRolledBack},
      {V::kRollBack, kFinished, kRolledBack},
      {V::kRollBack, kAborted, {}},
      {V::kRollBack, kRolledBack, kRolledBack},
  };
  for (const VerbCase& line : table) {
    RolloutRow row = ready_row();
    row.state = line.from;
    RolloutMachine machine(row);
    const auto done = apply(machine, Operated{line.verb, {}});
    EXPECT_EQ(done.has_value(), line.to.has_value())
        << name_of(line.verb) << " while " << name_of(line.from);
    if (!done) EXPECT_EQ(done.error().code, Errc::kConflict);
    EXPECT_EQ(machine.row().state, line.to.value_or(line.from))
        << name_of(line.verb) << " while " << name_of(line.from);
  }
}

TEST(RolloutMachine, ADraftBecomesReadyWhenItsArtifactIs) {
  RolloutRow row = ready_row();
  row.state = RolloutState::kDraft;
  RolloutMachine machine(row);
  ASSERT_TRUE(apply(machine, ArtifactReady{}));
  EXPECT_EQ(machine.row().state, RolloutState::kReady);
}

TEST(RolloutMachine, OffersUntilTheDeviceHasCommitted) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  EXPECT_FALSE(machine.offer_for(kFirst)) << "nothing is offered before it is written down";

  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  for (const DeviceStep step :
       {DeviceStep::kDownloading, DeviceStep::kStaged, DeviceStep::kEvaluating}) {
    EXPECT_EQ(machine.offer_for(kFirst), kTarget);
    ASSERT_TRUE(apply(machine, DeviceReported{kFirst, report(step)}));
    EXPECT_EQ(step_of(machine, kFirst), step);
  }
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, report(DeviceStep::kCommitted)}));
  EXPECT_FALSE(machine.offer_for(kFirst));
  EXPECT_EQ(machine.row().state, RolloutState::kFinished);
}

TEST(RolloutMachine, ALostReportIsMadeGoodByWhatTheDeviceRuns) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kTarget}));
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kCommitted);
}

TEST(RolloutMachine, ReportsTwiceOrLateChangeNothing) {
  RolloutMachine machine = running_with({{kFirst, kBefore}, {kSecond, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, report(DeviceStep::kStaged)}));
  for (const DeviceStep late : {DeviceStep::kStaged, DeviceStep::kDownloading}) {
    const auto changes = machine.decide(DeviceReported{kFirst, report(late)}, 2000);
    ASSERT_TRUE(changes);
    EXPECT_TRUE(changes->empty());
  }
}

TEST(RolloutMachine, AReportAboutAnotherArtifactIsIgnored) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  const auto stray = report(DeviceStep::kCommitted, digest_number(9));
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, stray}));
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kOffered);
}

TEST(RolloutMachine, APausedOneOffersNothingAndStillListens) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kPause, {}}));
  EXPECT_FALSE(machine.offer_for(kFirst));
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, report(DeviceStep::kCommitted)}));
  EXPECT_EQ(machine.row().state, RolloutState::kPaused);
  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kResume, {}}));
  EXPECT_EQ(machine.row().state, RolloutState::kFinished);
}

TEST(RolloutMachine, LateJoinersAreTakenInWhileRunningAndAfterwards) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceJoined{kSecond, {}}));
  ASSERT_TRUE(apply(machine, DeviceHeard{kSecond, {}}));
  EXPECT_EQ(machine.offer_for(kSecond), kTarget);
  for (const DeviceId device : {kFirst, kSecond})
    ASSERT_TRUE(apply(machine, DeviceHeard{device, kTarget}));
  ASSERT_EQ(machine.row().state, RolloutState::kFinished);

  constexpr DeviceId late{3};
  ASSERT_TRUE(apply(machine, DeviceJoined{late, {}}));
  ASSERT_TRUE(apply(machine, DeviceHeard{late, {}}));
  EXPECT_EQ(machine.offer_for(late), kTarget);
  EXPECT_EQ(machine.row().state, RolloutState::kFinished);
}

TEST(RolloutMachine, ARunningRolloutWithoutDevicesWaitsForThem) {
  RolloutMachine machine = running_with({});
  EXPECT_EQ(machine.row().state, RolloutState::kRunning);
  ASSERT_TRUE(apply(machine, DeviceJoined{kFirst, kTarget}));
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kTarget}));
  EXPECT_EQ(machine.row().state, RolloutState::kFinished);
}

TEST(RolloutMachine, FailedDevicesAreTriedAgainByTheVerb) {
  RolloutMachine machine = running_with({{kFirst, kBefore}, {kSecond, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  ASSERT_TRUE(apply(machine, DeviceHeard{kSecond, kTarget}));
  const auto refused = report(DeviceStep::kFailed, kTarget, "signature: not ours");
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, refused}));
  ASSERT_EQ(machine.row().state, RolloutState::kFinished);
  EXPECT_EQ(machine.devices().at(kFirst).reason, "signature: not ours");

  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kRetry, {}}));
  EXPECT_EQ(machine.row().state, RolloutState::kRunning);
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kPending);
  EXPECT_EQ(machine.devices().at(kFirst).attempt, 2U);
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, refused})) << "the old report comes again";
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kPending);
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  EXPECT_EQ(machine.offer_for(kFirst), kTarget);
}

TEST(RolloutMachine, ARollBackLeadsEveryDeviceToWhatItRanBefore) {
  RolloutMachine machine = running_with({{kFirst, kBefore}, {kSecond, kBefore}, {DeviceId{3}, {}}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kTarget}));
  ASSERT_TRUE(apply(machine, DeviceHeard{DeviceId{3}, kTarget}));
  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kRollBack, {}}));

  EXPECT_EQ(machine.offer_for(kFirst), kBefore);
  EXPECT_EQ(step_of(machine, kSecond), DeviceStep::kRolledBack) << "it had not begun";
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, report(DeviceStep::kCommitted, kBefore)}));
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kRolledBack);
  EXPECT_FALSE(machine.offer_for(kFirst));
  // The third was running the target before anything was offered: it is where it was.
  EXPECT_NE(step_of(machine, DeviceId{3}), DeviceStep::kCommitted);
}

TEST(RolloutMachine, ADeviceThatCommitsDuringTheRollBackIsLedBackToo) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kRollBack, {}}));
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kRolledBack);
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kTarget})) << "its switch was under way";
  EXPECT_EQ(machine.offer_for(kFirst), kBefore);
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kRolledBack);
}

TEST(RolloutMachine, ADeviceThatGivesUpBecauseItWasCalledBackHasReturned) {
  RolloutMachine machine = running_with({{kFirst, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kBefore}));
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, report(DeviceStep::kDownloading)}));
  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kRollBack, {}}));
  EXPECT_EQ(machine.offer_for(kFirst), kBefore);
  const auto superseded = report(DeviceStep::kFailed, kTarget, "superseded: another was offered");
  ASSERT_TRUE(apply(machine, DeviceReported{kFirst, superseded}));
  EXPECT_EQ(step_of(machine, kFirst), DeviceStep::kRolledBack);
}

TEST(RolloutMachine, ARevokedDeviceDoesNotHoldTheOthersUp) {
  RolloutMachine machine = running_with({{kFirst, kBefore}, {kSecond, kBefore}});
  ASSERT_TRUE(apply(machine, DeviceHeard{kFirst, kTarget}));
  ASSERT_TRUE(apply(machine, DeviceLeft{kSecond, "revoked: by the operator"}));
  EXPECT_EQ(step_of(machine, kSecond), DeviceStep::kFailed);
  EXPECT_EQ(machine.row().state, RolloutState::kFinished);
}

TEST(RolloutMachine, RefusesADeviceItDoesNotKnow) {
  RolloutMachine machine = running_with({});
  EXPECT_EQ(apply(machine, DeviceHeard{kFirst, {}}).error().code, Errc::kNotFound);
  ASSERT_TRUE(apply(machine, Operated{RolloutVerb::kAbort, {}}));
  EXPECT_EQ(apply(machine, DeviceJoined{kFirst, {}}).error().code, Errc::kConflict);
}

// Random streams: whatever comes, these hold.
RolloutEvent random_event(std::mt19937_64& random) {
  const DeviceId device{random() % 6 + 1};
  if (random() % 200 == 0) return Operated{RolloutVerb::kAbort, {}};
  const auto some_artifact = [&]() -> std::optional<Digest> {
    if (random() % 4 == 0) return std::nullopt;
    return digest_number(static_cast<unsigned>(random() % 3 + 1));
  };
  switch (random() % 8) {
    case 0: {
      constexpr RolloutVerb kOften[] = {RolloutVerb::kStart, RolloutVerb::kPause,
                                        RolloutVerb::kResume, RolloutVerb::kResume,
                                        RolloutVerb::kRetry};
      if (random() % 40 == 0) return Operated{RolloutVerb::kRollBack, {}};
      return Operated{kOften[random() % 5], {{device, some_artifact()}}};
    }
    case 1:
      return DeviceJoined{device, some_artifact()};
    case 2:
      return DeviceLeft{device, random() % 2 == 0 ? "cordoned: x" : "revoked: x"};
    case 3:
    case 4:
      return DeviceHeard{device, some_artifact()};
    default:
      return DeviceReported{device, report(static_cast<DeviceStep>(random() % 8 + 1),
                                           digest_number(static_cast<unsigned>(random() % 3 + 1)))};
  }
}

void check_invariants(const RolloutMachine& before, const RolloutMachine& after,
                      const RolloutEvent& event) {
  const auto& counts = after.counts();
  ASSERT_EQ(std::accumulate(counts.begin(), counts.end(), std::size_t{0}), after.devices().size());
  ASSERT_GE(after.devices().size(), before.devices().size()) << "no device is forgotten";
  const bool operated = std::holds_alternative<Operated>(event);
  for (const auto& [id, device] : before.devices()) {
    const DeviceStep now = after.devices().at(id).step;
    const bool returns = after.row().state == RolloutState::kRolledBack;
    const bool back_in =
        std::holds_alternative<DeviceJoined>(event) && device.reason.starts_with("cordoned");
    if (!operated && !returns && !back_in) ASSERT_GE(now, device.step) << "steps move forward";
    ASSERT_EQ(after.devices().at(id).changed != device.changed, after.devices().at(id) != device)
        << "every change is stamped";
  }
  if (after.row().state == RolloutState::kAborted || after.row().state == RolloutState::kPaused) {
    for (const auto& [id, device] : after.devices()) ASSERT_FALSE(after.offer_for(id));
  }
  if (!operated && after.row().state != before.row().state) {
    ASSERT_EQ(after.row().state, RolloutState::kFinished) << "only verbs and the end move it";
  }
}

TEST(RolloutMachine, KeepsItsInvariantsUnderRandomEvents) {
  std::size_t adopted = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    RolloutMachine machine(ready_row());
    for (int i = 0; i < 200; ++i) {
      const RolloutEvent event = random_event(random);
      const RolloutMachine before = machine;
      const auto changes = machine.decide(event, 2000 + i);
      if (!changes) continue;
      machine.adopt(*changes);
      adopted += changes->empty() ? 0 : 1;
      check_invariants(before, machine, event);
      if (HasFatalFailure()) FAIL() << "seed " << seed << " event " << i;
      // The same event again says nothing new (verbs that retry count as new decisions).
      if (!std::holds_alternative<Operated>(event)) {
        const auto again = machine.decide(event, 9000);
        if (again) EXPECT_TRUE(again->empty()) << "seed " << seed << " event " << i;
      }
      // Rebuilt from its rows, it is the same machine.
      std::vector<RolloutDeviceRow> rows;
      for (const auto& [id, device] : machine.devices()) rows.push_back(device);
      const RolloutMachine rebuilt(machine.row(), rows);
      ASSERT_EQ(rebuilt.counts(), machine.counts());
      ASSERT_EQ(rebuilt.devices(), machine.devices());
    }
  }
  EXPECT_GT(adopted, 4000U) << "the streams should move the machine, not only bounce off it";
}

}  // namespace
}  // namespace skein
