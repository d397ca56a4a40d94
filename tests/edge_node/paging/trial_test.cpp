#include "edge_node/paging/internal/trial.h"

#include <gtest/gtest.h>

#include <array>
#include <span>

namespace skein::paging {
namespace {

constexpr int kTimes = 600;

// How often each way was gone.
std::array<int, 3> go(Trial& trial, std::span<const double> seconds, int times = kTimes) {
  std::array<int, 3> gone{};
  for (int i = 0; i < times; ++i) {
    ++gone[trial.way()];
    trial.took(seconds[trial.way()]);
  }
  return gone;
}

TEST(Trial, NearlyAlwaysGoesTheFastestWay) {
  for (std::size_t fastest = 0; fastest < 3; ++fastest) {
    std::array<double, 3> seconds = {0.3, 0.3, 0.3};
    seconds[fastest] = 0.2;
    Trial trial(3);
    const auto gone = go(trial, seconds);
    EXPECT_GT(gone[fastest], kTimes * 9 / 10) << fastest;
    for (const int each : gone) EXPECT_GE(each, 3) << fastest;
  }
}

TEST(Trial, NoticesThatAnotherWayHasBecomeFaster) {
  Trial trial(3);
  go(trial, std::array{0.1, 0.2, 0.3});
  EXPECT_EQ(trial.way(), 0U);
  const auto gone = go(trial, std::array{0.4, 0.2, 0.1});
  EXPECT_GT(gone[2], kTimes / 2);
}

TEST(Trial, LooksAtEveryOtherWayNowAndThen) {
  Trial trial(3);
  go(trial, std::array{0.1, 0.2, 0.3});
  const auto gone = go(trial, std::array{0.1, 0.2, 0.3});
  EXPECT_GT(gone[1], 0);
  EXPECT_GT(gone[2], 0);
}

TEST(Trial, AWayThatIsAsFastByAHairIsNotChangedFor) {
  Trial trial(2);
  go(trial, std::array{0.100, 0.099});
  EXPECT_EQ(trial.way(), 0U);
}

TEST(Trial, OtherThingsThatComeBetweenAreNoMeasure) {
  Trial trial(2);
  for (int i = 0; i < kTimes; ++i) {
    trial.took(trial.way() == 0 ? 0.3 : 0.2);
    trial.took(trial.way() == 0 ? 0.1 : 0.9, 1);  // as long as the first kind goes on, ignored
  }
  int second = 0;
  for (int i = 0; i < kTimes; ++i) {
    second += trial.way() == 1 ? 1 : 0;
    trial.took(trial.way() == 0 ? 0.3 : 0.2);
  }
  EXPECT_GT(second, kTimes * 9 / 10);
}

TEST(Trial, BeginsAnewWhereOnlyOtherThingsCome) {
  Trial trial(2);
  go(trial, std::array{0.3, 0.2});
  int first = 0;
  for (int i = 0; i < kTimes; ++i) {
    first += trial.way() == 0 ? 1 : 0;
    trial.took(trial.way() == 0 ? 0.1 : 0.9, 1);
  }
  EXPECT_GT(first, kTimes * 8 / 10);
}

TEST(Trial, WhereNoClockTellsTheFirstWayIsGone) {
  Trial trial(3);
  EXPECT_EQ(go(trial, std::array{0.0, 0.0, 0.0})[0], kTimes);
}

}  // namespace
}  // namespace skein::paging
