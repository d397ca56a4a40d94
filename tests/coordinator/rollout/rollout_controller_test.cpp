#include "coordinator/rollout/rollout_controller.h"

#include <gtest/gtest.h>

#include "common/env/real/real_env.h"
#include "common/store/database.h"

namespace skein {
namespace {

Digest digest_number(unsigned number) {
  Digest digest;
  digest.bytes[0] = std::byte(number);
  return digest;
}
const Digest kTarget = digest_number(2);
const Digest kBefore = digest_number(1);

// A device as far as a rollout sees it: it takes what it is offered, step by step, and repeats its
// reports until they are recorded.
struct FakeDevice {
  DeviceId id{};
  std::optional<Digest> active = kBefore;
  std::vector<StepReport> unrecorded;
  std::optional<std::pair<RolloutId, Digest>> offer;

  Heartbeat heartbeat() const {
    Heartbeat said;
    said.active = active;
    said.steps = unrecorded;
    return said;
  }
  void hear(const RolloutController::Answer& answer) {
    for (const auto& [rollout, step] : answer.recorded) {
      std::erase_if(unrecorded, [&](const StepReport& report) {
        return report.rollout == rollout && report.step == step;
      });
    }
    if (answer.offer && answer.offer->second != active) {
      for (const DeviceStep step : {DeviceStep::kDownloading, DeviceStep::kStaged,
                                    DeviceStep::kEvaluating, DeviceStep::kCommitted}) {
        unrecorded.push_back({answer.offer->first, answer.offer->second, step, "", 10, 1});
      }
      active = answer.offer->second;
    }
    offer = answer.offer;
  }
};

class RolloutControllerTest : public testing::Test {
 protected:
  RolloutControllerTest() {
    for (std::uint64_t id = 1; id <= 3; ++id) {
      devices_.emplace_back().id = DeviceId{id};
      DeviceRow row;
      row.id = DeviceId{id};
      row.serial = id;
      Digest token = digest_number(static_cast<unsigned>(100 + id));
      EXPECT_TRUE(store_->add_token({token, 0, 10, std::nullopt}));
      EXPECT_TRUE(store_->enrol(token, row));
    }
    restart();
  }
  void restart() {
    controller_ = std::make_unique<RolloutController>(real_.env(), *store_);
    ASSERT_TRUE(controller_->restore());
  }
  std::vector<DeviceJoined> fleet() const {
    std::vector<DeviceJoined> all;
    for (const FakeDevice& device : devices_) all.push_back({device.id, device.active});
    return all;
  }
  RolloutId started(const Digest& artifact) {
    const RolloutId id = controller_->create(artifact).value();
    EXPECT_TRUE(controller_->operate(id, RolloutVerb::kStart, fleet()));
    return id;
  }
  // True when every device's heartbeat was answered.
  bool beat_all() {
    for (FakeDevice& device : devices_) {
      const auto answer = controller_->heard(device.id, device.heartbeat(), true);
      if (!answer) return false;
      device.hear(*answer);
    }
    return true;
  }
  RolloutState state_of(RolloutId id) const { return controller_->find(id)->row().state; }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  std::unique_ptr<Database> database_ = Database::open_in_memory().value();
  std::unique_ptr<Store> store_ = open_sqlite_store(*database_).value();
  std::vector<FakeDevice> devices_;
  std::unique_ptr<RolloutController> controller_;
};

TEST_F(RolloutControllerTest, MovesEveryDeviceToTheArtifact) {
  const RolloutId id = started(kTarget);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(beat_all());
  EXPECT_EQ(state_of(id), RolloutState::kFinished);
  for (const FakeDevice& device : devices_) {
    EXPECT_EQ(device.active, kTarget);
    EXPECT_TRUE(device.unrecorded.empty());
    EXPECT_FALSE(device.offer);
  }
}

TEST_F(RolloutControllerTest, RepeatsTheOfferUntilTheDeviceHasCommitted) {
  started(kTarget);
  Heartbeat said;
  said.active = kBefore;
  for (int i = 0; i < 3; ++i) {
    const auto answer = controller_->heard(DeviceId{1}, said, true);
    ASSERT_TRUE(answer);
    ASSERT_TRUE(answer->offer);
    EXPECT_EQ(answer->offer->second, kTarget);
  }
}

TEST_F(RolloutControllerTest, OneRolloutAtATime) {
  const RolloutId first = started(kTarget);
  const RolloutId second = controller_->create(digest_number(3)).value();
  const auto refused = controller_->operate(second, RolloutVerb::kStart, fleet());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kConflict);
  ASSERT_TRUE(controller_->operate(first, RolloutVerb::kAbort, {}));
  EXPECT_TRUE(controller_->operate(second, RolloutVerb::kStart, fleet()));
}

TEST_F(RolloutControllerTest, ACordonedDeviceGetsNothingNew) {
  started(kTarget);
  ASSERT_TRUE(controller_->device_left(DeviceId{1}, "cordoned: by the operator"));
  const auto answer = controller_->heard(DeviceId{1}, Heartbeat{}, false);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->offer);
  const auto back = controller_->heard(DeviceId{1}, Heartbeat{}, true);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->offer) << "uncordoned, it takes part again";
}

TEST_F(RolloutControllerTest, AReportAboutAnUnknownRolloutIsAcknowledgedAndForgotten) {
  Heartbeat said;
  said.steps.push_back({RolloutId{77}, kTarget, DeviceStep::kCommitted, "", 0, 0});
  const auto answer = controller_->heard(DeviceId{1}, said, true);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->recorded.size(), 1U);
}

TEST_F(RolloutControllerTest, ARollBackReturnsTheFleetAndANewcomerGetsTheOlderArtifact) {
  started(kTarget);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(beat_all());
  const RolloutId second = started(digest_number(3));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(beat_all());
  ASSERT_TRUE(controller_->operate(second, RolloutVerb::kRollBack, {}));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(beat_all());
  for (const FakeDevice& device : devices_) EXPECT_EQ(device.active, kTarget);
  EXPECT_EQ(controller_->find(second)->counts()[static_cast<int>(DeviceStep::kRolledBack)], 3U);
}

TEST_F(RolloutControllerTest, KeepsABoundedNumberInMemory) {
  for (std::size_t i = 0; i < kMaxLiveRollouts + 3; ++i) ASSERT_TRUE(controller_->create(kTarget));
  EXPECT_EQ(controller_->live().size(), kMaxLiveRollouts);
  restart();
  EXPECT_EQ(controller_->live().size(), kMaxLiveRollouts);
  EXPECT_EQ(store_->rollouts()->size(), kMaxLiveRollouts + 3);
}

TEST_F(RolloutControllerTest, SurvivesRestartsAndLostRepliesAnywhere) {
  for (int writes = 0; writes < 12; ++writes) {
    const Digest target = digest_number(static_cast<unsigned>(10 + writes));
    const RolloutId id = started(target);
    int done = 0;
    for (FakeDevice& device : devices_) {
      const auto answer = controller_->heard(device.id, device.heartbeat(), true);
      ASSERT_TRUE(answer);
      const bool lost = done++ == writes % 3;
      if (lost || done == writes / 3) restart();
      if (!lost) device.hear(*answer);
    }
    for (int i = 0; i < 4; ++i) {
      restart();
      ASSERT_TRUE(beat_all());
    }
    ASSERT_EQ(state_of(id), RolloutState::kFinished);
    for (const FakeDevice& device : devices_) ASSERT_EQ(device.active, target);
  }
}

TEST_F(RolloutControllerTest, AWriteThatFailsChangesNothing) {
  const RolloutId id = started(kTarget);
  ASSERT_TRUE(database_->execute(
      "CREATE TRIGGER full BEFORE INSERT ON rollout_devices BEGIN SELECT RAISE(ABORT, 'full'); "
      "END;"));
  const auto refused = controller_->heard(DeviceId{1}, devices_[0].heartbeat(), true);
  EXPECT_FALSE(refused);
  EXPECT_EQ(controller_->find(id)->devices().at(DeviceId{1}).step, DeviceStep::kPending);
  ASSERT_TRUE(database_->execute("DROP TRIGGER full"));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(beat_all());
  EXPECT_EQ(state_of(id), RolloutState::kFinished);
}

}  // namespace
}  // namespace skein
