#include <gtest/gtest.h>

#include "common/env/pressure/budget_policy.h"
#include "simulations/world/world.h"

namespace skein {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

FaultPlan squeezed() {
  FaultPlan plan;
  plan.squeezes_per_minute = 1;
  plan.calm_from = Instant(minutes(60));
  return plan;
}

// What one node's gauge shows every `step`, for `length`.
std::vector<Pressure> watch(std::uint64_t seed, FaultPlan plan, Duration step, Duration length) {
  World world({.seed = seed, .faults = plan});
  const Env env = world.node_env("device");
  std::vector<Pressure> seen;
  for (Duration at{0}; at < length; at += step) {
    world.run_until(Instant(at));
    seen.push_back(env.pressure.sample());
  }
  return seen;
}

TEST(SimPressure, TheSeedAloneSaysWhatIsSeenHoweverOftenOneLooks) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto often = watch(seed, squeezed(), seconds(1), minutes(30));
    const auto seldom = watch(seed, squeezed(), seconds(60), minutes(30));
    ASSERT_EQ(often, watch(seed, squeezed(), seconds(1), minutes(30)));
    ASSERT_NE(often, watch(seed + 100, squeezed(), seconds(1), minutes(30)));
    for (std::size_t i = 0; i < seldom.size(); ++i) {
      ASSERT_EQ(seldom[i].heat, often[60 * i].heat);
      ASSERT_EQ(seldom[i].group, often[60 * i].group);
      ASSERT_EQ(seldom[i].machine_stalls, often[60 * i].machine_stalls);
    }
  }
}

TEST(SimPressure, EverySignalComesAndGoesAndTheCalmIsKind) {
  bool tight = false;
  bool hot = false;
  bool low = false;
  bool kind = false;
  const auto seen = watch(1, squeezed(), seconds(1), minutes(70));
  for (const Pressure& pressure : seen) {
    tight |= pressure.group->room_bytes() < pressure.group->limit_bytes / 16;
    hot |= pressure.heat >= Heat::kHot;
    low |= pressure.on_battery;
    kind |= pressure.heat == Heat::kCool && !pressure.on_battery;
  }
  EXPECT_TRUE(tight && hot && low && kind);
  for (std::size_t i = 60 * 60 + 1; i < seen.size(); ++i) {
    ASSERT_EQ(seen[i].machine_stalls->some, seen.back().machine_stalls->some);
    ASSERT_EQ(seen[i].heat, Heat::kCool);
    ASSERT_FALSE(seen[i].on_battery);
  }
}

TEST(SimPressure, WithoutSpellsNothingPresses) {
  const auto seen = watch(1, FaultPlan{}, seconds(60), minutes(30));
  for (const Pressure& pressure : seen) ASSERT_EQ(pressure, seen.front());
}

TEST(SimPressure, WhatAScenarioPlantsIsShownUntilItIsTakenAway) {
  World world({});
  const Env env = world.node_env("device");
  const Pressure kind = env.pressure.sample();
  Pressure hot;
  hot.heat = Heat::kCritical;
  world.set_pressure("device", hot);
  EXPECT_EQ(env.pressure.sample(), hot);
  world.set_pressure("device", std::nullopt);
  EXPECT_EQ(env.pressure.sample(), kind);
}

TEST(SimPressure, ABudgetLedByItHasAllAgainInTheCalm) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    auto policy = *BudgetPolicy::make({.configured_bytes = 400'000'000, .floor_bytes = 90'000'000});
    std::uint64_t least = policy.budget_bytes();
    Instant now{};
    for (const Pressure& pressure : watch(seed, squeezed(), seconds(1), minutes(70))) {
      policy.step(pressure, now);
      now += seconds(1);
      least = std::min(least, policy.budget_bytes());
    }
    EXPECT_LT(least, 400'000'000U) << seed;
    EXPECT_GE(least, 90'000'000U) << seed;
    EXPECT_EQ(policy.budget_bytes(), 400'000'000U) << seed;
  }
}

}  // namespace
}  // namespace skein
