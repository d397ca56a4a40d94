// kill -9 at any moment of an update: real processes, real TLS, real SQLite, the shipped models.
#include <cstdlib>
#include <random>

#include "tests/integration/real_fleet.h"

namespace skein::test {
namespace {

constexpr std::size_t kKills = 20;
constexpr int kArriveSeconds = 60;

bool quick() { return std::getenv("SKEIN_TEST_QUICK") != nullptr; }

// A fleet that runs v1, and the two digests to go back and forth between.
struct Walk : ::testing::Test {
  void SetUp() override {
    if (quick()) GTEST_SKIP() << "takes over 10 s";
    fleet.make_models();
    fleet.start_coordinator();
    if (HasFatalFailure()) return;
    digests = {fleet.publish(fleet.v1_file), fleet.publish(fleet.v2_file)};
    fleet.start_edge();
    ASSERT_TRUE(
        fleet.until([&] { return fleet.get(fleet.edge_port, "/health").status == 200; }, 20));
    roll_out_and_arrive(0);
  }
  void roll_out_and_arrive(std::size_t which) {
    ASSERT_TRUE(fleet.until([&] { return fleet.reported_active() != "none"; }, 5));
    fleet.roll_out(digests[which]);
    arrive(which);
  }
  void arrive(std::size_t which) {
    const auto there = [&] {
      return fleet.reported_active() == digests[which] && fleet.edge_ready();
    };
    ASSERT_TRUE(fleet.until(there, kArriveSeconds)) << "the edge:\n"
                                                    << fleet.log("edge") << "\nthe coordinator:\n"
                                                    << fleet.log("coordinator");
  }

  RealFleet fleet;
  std::vector<std::string> digests;
  std::mt19937 dice{20261122};
};

TEST_F(Walk, TheEdgeKilledAtAnyMomentRestartsIntoAVerifiedSlotAndArrives) {
  for (std::size_t kill = 1; kill <= kKills; ++kill) {
    if (kill > 1) fleet.forget_previous();
    if (HasFatalFailure()) return;
    fleet.roll_out(digests[kill % 2]);
    RealFleet::pause(dice() % 900);
    fleet.edge->kill_now(SIGKILL);
    ASSERT_EQ(fleet.slot_fault(), "") << "after kill " << kill;
    fleet.start_edge();
    arrive(kill % 2);
    if (HasFatalFailure()) return;
  }
}

TEST_F(Walk, TheCoordinatorKilledAtAnyMomentTakesTheRolloutUpAgain) {
  for (std::size_t kill = 1; kill <= kKills; ++kill) {
    if (kill > 1) fleet.forget_previous();
    if (HasFatalFailure()) return;
    fleet.roll_out(digests[kill % 2]);
    RealFleet::pause(dice() % 900);
    fleet.coordinator->kill_now(SIGKILL);
    RealFleet::pause(dice() % 200);
    fleet.start_coordinator();
    arrive(kill % 2);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace skein::test
