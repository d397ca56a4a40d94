// Planted sequences of samples, and what becomes of the budget.
#include "common/env/pressure/budget_policy.h"

#include <gtest/gtest.h>

#include <random>

namespace skein {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint64_t kMega = 1'000'000;

// A machine that is sampled once a second.
struct Device {
  explicit Device(BudgetOptions options) : policy(*BudgetPolicy::make(options)) {
    sample.machine_stalls = StallTimes{};
    sample.available_bytes = 4000 * kMega;
    sample.group = GroupMemory{1000 * kMega, 200 * kMega, 0, 0};
  }
  BudgetActions tick(double stalled = 0, Duration after = seconds(1)) {
    now += after;
    sample.machine_stalls->some +=
        std::chrono::microseconds(static_cast<std::int64_t>(stalled * 1e6));
    return policy.step(sample, now);
  }
  std::uint64_t budget() const { return policy.budget_bytes(); }
  // Seconds until the budget is more than it is.
  int until_growth() {
    const std::uint64_t before = budget();
    for (int i = 1; i < 2000; ++i) {
      tick();
      if (budget() > before) return i;
    }
    return -1;
  }

  BudgetPolicy policy;
  Pressure sample;
  Instant now{};
};

Device device() { return Device({.configured_bytes = 640 * kMega, .floor_bytes = 100 * kMega}); }

TEST(BudgetPolicy, WithoutPressureEverythingConfiguredIsThere) {
  Device quiet = device();
  for (int i = 0; i < 1000; ++i) {
    const BudgetActions actions = quiet.tick();
    EXPECT_FALSE(actions.set || actions.refused);
  }
  EXPECT_EQ(quiet.budget(), 640 * kMega);
}

TEST(BudgetPolicy, StallsShrinkAtOnceAndCalmGivesBackInSmallSteps) {
  Device phone = device();
  phone.tick();
  const BudgetActions actions = phone.tick(0.3);
  ASSERT_TRUE(actions.set);
  EXPECT_EQ(*actions.set, (SetBudget{480 * kMega, BudgetReason::kStalls}));
  phone.tick(0.3);
  EXPECT_EQ(phone.budget(), 360 * kMega);
  EXPECT_EQ(phone.until_growth(), 11);  // quiet from the first sample on, then ten seconds
  EXPECT_EQ(phone.budget(), 400 * kMega);
  EXPECT_EQ(phone.until_growth(), 2);
  EXPECT_EQ(phone.budget(), 440 * kMega);
  for (int i = 0; i < 60; ++i) phone.tick();
  EXPECT_EQ(phone.budget(), 640 * kMega);
}

TEST(BudgetPolicy, TheFloorHoldsHoweverHardItIsPressed) {
  Device phone = device();
  for (int i = 0; i < 50; ++i) phone.tick(0.9);
  EXPECT_EQ(phone.budget(), 100 * kMega);
  const BudgetActions raised = phone.policy.step(RaiseFloor{300 * kMega}, phone.now);
  EXPECT_EQ(raised.set, (SetBudget{300 * kMega, BudgetReason::kFloor}));
  phone.tick(0.9);
  EXPECT_EQ(phone.budget(), 300 * kMega);
}

TEST(BudgetPolicy, BetweenTheTwoThresholdsNothingHappens) {
  Device phone = device();
  phone.tick();
  phone.tick(0.3);
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(phone.tick(0.05).set);
  EXPECT_EQ(phone.budget(), 480 * kMega);
}

TEST(BudgetPolicy, ReservesThatAreNotFreeAreGivenBackToTheByte) {
  Device phone = device();
  phone.sample.group->used_bytes = 990 * kMega;  // a reserve of 1000/32 should be free
  EXPECT_EQ(phone.tick().set,
            (SetBudget{640 * kMega - (31'250'000 - 10 * kMega), BudgetReason::kNoRoom}));
  EXPECT_FALSE(phone.tick(0, milliseconds(500)).set);  // not felt yet
  phone.sample.group->used_bytes = 500 * kMega;
  phone.sample.available_bytes = 0;
  const std::uint64_t before = phone.budget();
  phone.tick();
  EXPECT_EQ(phone.budget(), before - (64ULL << 20U));
}

TEST(BudgetPolicy, GrowthNeverEatsIntoTheReserves) {
  Device phone = device();
  phone.tick();
  phone.tick(0.3);
  phone.sample.group->used_bytes = 1000 * kMega - 2 * 31'250'000 - 3;
  EXPECT_EQ(phone.until_growth(), 11);
  EXPECT_EQ(phone.budget(), 480 * kMega + 3);
  phone.sample.group->used_bytes += 3;
  EXPECT_EQ(phone.until_growth(), -1);
}

TEST(BudgetPolicy, AKillInTheGroupGoesToTheFloorEvenIfOneHasJustShrunk) {
  Device phone = device();
  phone.tick();
  phone.tick(0.3);
  phone.sample.group->oom_kills = 1;
  EXPECT_EQ(phone.tick(0, milliseconds(10)).set, (SetBudget{100 * kMega, BudgetReason::kKilled}));
  EXPECT_FALSE(phone.tick().set);  // the same kill counts once
}

TEST(BudgetPolicy, CountersOfAnotherGroupAreNotTakenForKills) {
  Device phone = device();
  phone.tick();
  phone.sample.group = GroupMemory{900 * kMega, 200 * kMega, 50, 7};
  EXPECT_FALSE(phone.tick().set);
}

TEST(BudgetPolicy, GrowingIntoTroubleDoublesTheWaitUntilItStayedQuietForLong) {
  Device phone = device();
  phone.tick();
  phone.tick(0.3);
  EXPECT_EQ(phone.until_growth(), 11);
  phone.tick(0.3);
  EXPECT_EQ(phone.until_growth(), 21);
  phone.tick(0.3);
  EXPECT_EQ(phone.until_growth(), 41);
  for (int i = 0; i < 10; ++i) {
    phone.tick(0.3);
    ASSERT_LE(phone.until_growth(), 301);
  }
  for (int i = 0; i < 800; ++i) phone.tick();
  EXPECT_EQ(phone.budget(), 640 * kMega);
  phone.tick(0.3);
  EXPECT_EQ(phone.until_growth(), 11);
}

TEST(BudgetPolicy, LimitHitsKeepItFromGrowing) {
  Device phone = device();
  phone.tick();
  phone.tick(0.3);
  for (int i = 0; i < 100; ++i) {
    if (i % 5 == 0) ++phone.sample.group->limit_hits;
    EXPECT_FALSE(phone.tick().set);
  }
}

TEST(BudgetPolicy, HeatAndAnEmptyBatteryCapWhatMayBeHad) {
  Device phone = device();
  phone.sample.heat = Heat::kWarm;
  EXPECT_FALSE(phone.tick().set);
  phone.sample.heat = Heat::kHot;
  EXPECT_EQ(phone.tick().set, (SetBudget{480 * kMega, BudgetReason::kHeat}));
  phone.sample.heat = Heat::kCritical;
  EXPECT_EQ(phone.tick().set, (SetBudget{100 * kMega, BudgetReason::kHeat}));
  phone.sample.heat = Heat::kCool;
  phone.sample.on_battery = true;
  phone.sample.battery_percent = 15;
  EXPECT_EQ(phone.until_growth(), 11);
  for (int i = 0; i < 100; ++i) phone.tick();
  EXPECT_EQ(phone.budget(), 480 * kMega);
  phone.sample.battery_percent = 16;
  phone.tick();
  EXPECT_EQ(phone.budget(), 520 * kMega);
}

TEST(BudgetPolicy, ASleepIsNotTakenForCalm) {
  Device phone = device();
  phone.tick();
  phone.tick(0.3);
  phone.tick();
  EXPECT_FALSE(phone.tick(0, minutes(60)).set);
  EXPECT_EQ(phone.until_growth(), 10);
}

TEST(BudgetPolicy, NonsenseIsRefusedInASentenceAndChangesNothing) {
  Device phone = device();
  for (const std::uint64_t bytes : {std::uint64_t{0}, 99 * kMega}) {
    const BudgetActions actions = phone.policy.step(ConfigureBudget{bytes}, phone.now);
    ASSERT_TRUE(actions.refused);
    EXPECT_NE(to_string(*actions.refused).find("give at least 100000000"), std::string::npos);
  }
  ASSERT_TRUE(phone.policy.step(RaiseFloor{641 * kMega}, phone.now).refused);
  EXPECT_EQ(phone.budget(), 640 * kMega);
  EXPECT_FALSE(BudgetPolicy::make({.configured_bytes = 5, .floor_bytes = 6}));
  EXPECT_FALSE(BudgetPolicy::make({.configured_bytes = 5, .stalled_share = 0.01}));
}

TEST(BudgetPolicy, AnotherBudgetTakesHoldAtOnceUnlessMemoryIsTight) {
  Device phone = device();
  phone.tick();
  EXPECT_EQ(phone.policy.step(ConfigureBudget{800 * kMega}, phone.now).set,
            (SetBudget{800 * kMega, BudgetReason::kConfigured}));
  phone.tick(0.3);
  EXPECT_FALSE(phone.policy.step(ConfigureBudget{900 * kMega}, phone.now).set);
  EXPECT_EQ(phone.policy.step(ConfigureBudget{200 * kMega}, phone.now).set,
            (SetBudget{200 * kMega, BudgetReason::kConfigured}));
}

TEST(BudgetPolicy, WhateverIsSampledStaysBetweenFloorAndConfigured) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    Device phone = device();
    std::uint64_t floor = 100 * kMega;
    std::uint64_t configured = 640 * kMega;
    Instant last_shrink{};
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t before = phone.budget();
      BudgetEvent event = phone.sample;
      phone.now += milliseconds(random() % 3000);
      if (random() % 20 == 0) event = ConfigureBudget{(random() % 1000) * kMega};
      if (random() % 20 == 0) event = RaiseFloor{(random() % 700) * kMega};
      if (auto* sample = std::get_if<Pressure>(&event)) {
        if (random() % 4 == 0) sample->machine_stalls->some += milliseconds(random() % 2000);
        if (random() % 4 == 0) sample->group->used_bytes = random() % 1100 * kMega;
        if (random() % 4 == 0) sample->available_bytes = random() % 200 * kMega;
        if (random() % 9 == 0) sample->heat = static_cast<Heat>(random() % 4);
        if (random() % 9 == 0) sample->group->oom_kills += random() % 2;
        if (random() % 9 == 0) sample->group.reset();
      }
      const BudgetActions actions = phone.policy.step(event, phone.now);
      if (!actions.refused) {
        if (const auto* set = std::get_if<ConfigureBudget>(&event)) configured = set->bytes;
        if (const auto* set = std::get_if<RaiseFloor>(&event)) floor = set->bytes;
      }
      ASSERT_GE(phone.budget(), floor);
      ASSERT_LE(phone.budget(), configured);
      ASSERT_EQ(actions.set.has_value(), phone.budget() != before);
      if (actions.set && actions.set->reason == BudgetReason::kCalm) {
        ASSERT_GE(phone.now - last_shrink, seconds(10));
      }
      if (phone.budget() < before) last_shrink = phone.now;
    }
  }
}

}  // namespace
}  // namespace skein
