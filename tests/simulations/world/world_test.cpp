#include "simulations/world/world.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

Task<void> nap(Clock& clock, Duration length, std::vector<int>& order, int number) {
  co_await clock.sleep_for(length);
  order.push_back(number);
}

TEST(World, TimeJumpsFromEventToEvent) {
  World world({.seed = 1});
  Env env = world.node_env("a");
  TaskGroup group(env.executor);
  std::vector<int> order;
  group.spawn(nap(env.clock, hours(5), order, 3));
  group.spawn(nap(env.clock, hours(1), order, 1));
  group.spawn(nap(env.clock, hours(5), order, 4));
  group.spawn(nap(env.clock, hours(2), order, 2));
  EXPECT_EQ(world.run_until(Instant(hours(3))), RunEnd::kTime);
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_EQ(env.clock.now(), Instant(hours(3)));
  EXPECT_EQ(world.run_until(Instant(hours(9))), RunEnd::kIdle);
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST(World, ACancelledSleepLeavesNothingBehind) {
  World world({.seed = 1});
  Env env = world.node_env("a");
  TaskGroup group(env.executor);
  std::vector<int> order;
  group.spawn(nap(env.clock, hours(5), order, 1));
  world.run_until(Instant(seconds(1)));
  world.run(group.stop());
  EXPECT_EQ(world.run_until(Instant(hours(1))), RunEnd::kIdle);
  EXPECT_TRUE(order.empty());
}

TEST(World, DeadlinesPassInVirtualTime) {
  World world({.seed = 1});
  Env env = world.node_env("a");
  auto forever = [](Clock& clock) -> Task<Result<int>> {
    co_await clock.sleep_until(Instant::max());
    co_return 1;
  };
  Task<Result<int>> work = forever(env.clock);
  const auto late =
      world.run(with_deadline(env.clock, Instant(seconds(30)), "waiting", std::move(work)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::kDeadline);
  EXPECT_EQ(env.clock.now(), Instant(seconds(30)));
}

TEST(World, RandomNumbersComeFromTheSeedAndTheNodesName) {
  const auto draw = [](std::uint64_t seed, const std::vector<std::string>& nodes) {
    World world({.seed = seed});
    std::uint64_t last = 0;
    for (const std::string& node : nodes) last = world.node_env(node).random.next();
    return last;
  };
  EXPECT_EQ(draw(1, {"a"}), draw(1, {"c", "b", "a"}));
  EXPECT_NE(draw(1, {"a"}), draw(2, {"a"}));
  EXPECT_NE(draw(1, {"a"}), draw(1, {"b"}));
}

TEST(World, ComputeChargesItsCostOneJobAfterTheOther) {
  World world({.seed = 1, .faults = {.compute_jitter = 0}});
  Env env = world.node_env("a");
  TaskGroup group(env.executor);
  int jobs = 0;
  auto work = [](Compute& compute, int& count) -> Task<void> {
    std::function<void()> job = [&count] { ++count; };
    co_await compute.run(std::move(job), seconds(2));
  };
  for (int i = 0; i < 3; ++i) group.spawn(work(env.compute, jobs));
  world.run(group.join());
  EXPECT_EQ(jobs, 3);
  EXPECT_EQ(env.clock.now(), Instant(seconds(6)));
}

TEST(World, RareSitesAreAwakeInSomeRunsOnly) {
  int awake = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    World world({.seed = seed, .faults = {.rare_sites = 0.25, .rare_fires = 1}});
    awake += world.node_env("a").random.sometimes("early eviction") ? 1 : 0;
  }
  EXPECT_GT(awake, 25);
  EXPECT_LT(awake, 75);
  World calm({.seed = 1});
  EXPECT_FALSE(calm.node_env("a").random.sometimes("early eviction"));
}

TEST(World, ALivelockIsFound) {
  World world({.seed = 1, .max_events_per_second = 1000});
  Env env = world.node_env("a");
  TaskGroup group(env.executor);
  auto spin = [](Clock& clock) -> Task<void> {
    for (;;) co_await clock.sleep_for(Duration(1));
  };
  group.spawn(spin(env.clock));
  EXPECT_EQ(world.run_until(Instant(seconds(10))), RunEnd::kViolation);
  EXPECT_NE(world.violation()->find("livelock"), std::string::npos);
}

struct Alarm final : Checker {
  explicit Alarm(World& w) : world(w) {}
  std::optional<std::string> violation() override {
    if (world.clock().now() < Instant(seconds(2))) return std::nullopt;
    return "it is past two";
  }
  World& world;
};

TEST(World, ACheckersObjectionStopsTheRun) {
  World world({.seed = 1});
  Env env = world.node_env("a");
  Alarm alarm(world);
  world.add_checker(alarm);
  TaskGroup group(env.executor);
  std::vector<int> order;
  for (int i = 1; i < 5; ++i) group.spawn(nap(env.clock, seconds(i), order, i));
  EXPECT_EQ(world.run_until(Instant(hours(1))), RunEnd::kViolation);
  EXPECT_EQ(order.size(), 2U);
  EXPECT_EQ(*world.violation(), "it is past two");
  ASSERT_FALSE(world.recent().empty());
  EXPECT_NE(world.recent().back().find("it is past two"), std::string::npos);
}

TEST(World, LogsEnterTheTrace) {
  const auto hash = [](std::string_view device) {
    World world({.seed = 1});
    world.node_env("a").log.info("slot committed", {{"device", device}});
    return world.trace_hash();
  };
  EXPECT_EQ(hash("d1"), hash("d1"));
  EXPECT_NE(hash("d1"), hash("d2"));
  EXPECT_EQ(hash("d1").size(), 16U);
}

TEST(FaultPlan, IsSetByNames) {
  FaultPlan plan;
  ASSERT_TRUE(set_fault(plan, "loss", 0.25));
  ASSERT_TRUE(set_fault(plan, "latency_ms", 40));
  ASSERT_TRUE(set_fault(plan, "calm_from_s", 60));
  EXPECT_EQ(plan.link.loss, 0.25);
  EXPECT_EQ(plan.link.latency, milliseconds(40));
  EXPECT_EQ(plan.calm_from, Instant(seconds(60)));
  EXPECT_EQ(set_fault(plan, "loss", 1.5).error().code, Errc::kUsage);
  EXPECT_EQ(set_fault(plan, "bytes_per_second", 0).error().code, Errc::kUsage);
  const auto unknown = set_fault(plan, "lost", 0.5);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().remedy.find("stream_reset"), std::string::npos);
  for (const std::string_view name : fault_names()) EXPECT_TRUE(set_fault(plan, name, 1)) << name;
}

}  // namespace
}  // namespace skein
