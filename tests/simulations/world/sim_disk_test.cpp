#include <gtest/gtest.h>

#include <set>

#include "simulations/world/world.h"

namespace skein {
namespace {

struct Fixture {
  explicit Fixture(FaultPlan plan = {}, std::uint64_t seed = 1)
      : world({.seed = seed, .faults = plan}), env(world.node_env("n")) {}
  void restart() {
    world.crash("n");
    env.emplace(world.node_env("n"));
  }
  Disk& disk() { return env->disk; }
  std::string read(const std::string& path) {
    const auto bytes = world.run(read_file(disk(), path, 1 << 20));
    return bytes ? std::string(as_text(*bytes)) : to_string(bytes.error());
  }
  // Creates the file and gives its handle; nothing is synced.
  std::unique_ptr<File> write(const std::string& path, std::string_view text) {
    auto file = world.run(disk().open(path, OpenMode::kCreate));
    CHECK(file.has_value());
    CHECK(world.run((*file)->write_at(0, as_bytes(text))).has_value());
    return std::move(*file);
  }

  World world;
  std::optional<Env> env;
};

FaultPlan loses_all() {
  FaultPlan plan;
  plan.kept_write = 0;
  plan.torn_write = 0;
  return plan;
}

TEST(SimDisk, ReadsBackWhatWasWrittenAndTakesTime) {
  Fixture f;
  const auto file = f.write("a", "hello");
  EXPECT_EQ(f.read("./a"), "hello");
  EXPECT_GT(f.world.clock().now(), Instant{});
  EXPECT_EQ(*f.world.run(f.disk().list(".")), std::vector<std::string>{"a"});
  EXPECT_EQ(as_text((*f.disk().map("a"))->bytes()), "hello");
}

TEST(SimDisk, UnsyncedDataDoesNotSurviveACrash) {
  Fixture f(loses_all());
  ASSERT_TRUE(f.world.run(replace_file(f.disk(), "a", as_bytes("old"))));
  auto file = f.world.run(f.disk().open("a", OpenMode::kReadWrite));
  ASSERT_TRUE(file);
  ASSERT_TRUE(f.world.run((*file)->write_at(0, as_bytes("newer"))));
  EXPECT_EQ(f.read("a"), "newer");
  f.restart();
  EXPECT_EQ(f.read("a"), "old");
}

TEST(SimDisk, SyncedDataUnderASyncedNameSurvives) {
  Fixture f(loses_all());
  const auto file = f.write("a", "safe");
  ASSERT_TRUE(f.world.run(file->sync()));
  ASSERT_TRUE(f.world.run(f.disk().sync_directory(".")));
  f.restart();
  EXPECT_EQ(f.read("a"), "safe");
}

TEST(SimDisk, ANameThatWasNotSyncedMayBeLost) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Fixture f(loses_all(), seed);
    const auto file = f.write("a", "x");
    ASSERT_TRUE(f.world.run(file->sync()));
    f.restart();
    seen.insert(*f.disk().exists("a") ? f.read("a") : "absent");
  }
  EXPECT_EQ(seen, (std::set<std::string>{"absent", "x"}));
}

TEST(SimDisk, ReplacingAFileIsAllOrNothingWheneverThePowerFails) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    FaultPlan plan;
    plan.kept_write = 0.3;
    plan.torn_write = 0.5;
    Fixture f(plan, seed);
    ASSERT_TRUE(f.world.run(replace_file(f.disk(), "slot", as_bytes("the old text"))));
    TaskGroup group(f.env->executor);
    auto replace = [](Disk& disk, Clock& clock, Instant& done) -> Task<void> {
      const auto result = co_await replace_file(disk, "slot", as_bytes("the new"));
      if (result) done = clock.now();
    };
    Instant done = Instant::max();
    group.spawn(replace(f.disk(), f.env->clock, done));
    const Duration wait(static_cast<Duration::rep>(f.world.random().below(1'000'000)));
    f.world.run_until(f.world.clock().now() + wait);
    const bool finished = done != Instant::max();
    f.restart();
    f.world.run(group.stop());
    const std::string text = f.read("slot");
    ASSERT_TRUE(text == "the new" || (!finished && text == "the old text")) << seed << text;
    seen.insert(text);
  }
  EXPECT_EQ(seen.size(), 2U);
}

TEST(SimDisk, UnsyncedWritesMayBeTorn) {
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    FaultPlan plan;
    plan.kept_write = 0;
    plan.torn_write = 1;
    Fixture f(plan, seed);
    const auto file = f.write("a", {});
    ASSERT_TRUE(f.world.run(f.disk().sync_directory(".")));
    ASSERT_TRUE(f.world.run(file->write_at(0, as_bytes(std::string(100, 'x')))));
    f.restart();
    sizes.insert(f.read("a").size());
  }
  EXPECT_GT(sizes.size(), 10U);
}

TEST(SimDisk, HandlesOfADeadEpochFail) {
  Fixture f;
  const auto file = f.write("a", "x");
  Disk& old = f.disk();
  f.restart();
  EXPECT_EQ(f.world.run(file->sync()).error().code, Errc::kCancelled);
  EXPECT_EQ(f.world.run(file->write_at(0, as_bytes("y"))).error().code, Errc::kCancelled);
  EXPECT_FALSE(f.world.run(old.list(".")));
  EXPECT_FALSE(old.map("a"));
}

TEST(SimDisk, AFullDiskRefusesGrowthAndRecovers) {
  FaultPlan plan;
  plan.disk_bytes = 1000;
  Fixture f(plan);
  const auto file = f.write("a", std::string(900, 'x'));
  const auto more = f.world.run(file->write_at(900, as_bytes(std::string(101, 'y'))));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(more.error().where, "a");
  ASSERT_TRUE(f.world.run(f.disk().remove("a")));
  EXPECT_EQ(*f.disk().free_bytes("."), 1000U);
  EXPECT_EQ(f.write("b", std::string(1000, 'z'))->size(), 1000U);
}

TEST(SimDisk, BitsRotForGoodAndErrorsPass) {
  FaultPlan plan;
  plan.bit_rot = 1;
  plan.calm_from = Instant(std::chrono::hours(1));
  Fixture f(plan);
  const std::string text(100, 'x');
  ASSERT_TRUE(f.world.run(replace_file(f.disk(), "a", as_bytes(text))));
  const std::string rotten = f.read("a");
  EXPECT_NE(rotten, text);
  f.world.run_until(plan.calm_from);
  EXPECT_EQ(f.read("a").size(), 100U);
  EXPECT_EQ(f.read("a"), f.read("a"));
  EXPECT_NE(f.read("a"), text);
}

TEST(SimDisk, ReadErrorsStrikeAtTheirRate) {
  FaultPlan plan;
  plan.read_error = 0.3;
  Fixture f(plan);
  const auto file = f.write("a", "x");
  int failed = 0;
  Buffer byte(1);
  for (int i = 0; i < 300; ++i) failed += f.world.run(file->read_at(0, byte)) ? 0 : 1;
  EXPECT_GT(failed, 50);
  EXPECT_LT(failed, 150);
}

TEST(SimDisk, DirectoriesHoldFilesAndOtherDirectories) {
  Fixture f;
  EXPECT_FALSE(f.world.run(f.disk().open("data/a", OpenMode::kCreate)));
  ASSERT_TRUE(f.world.run(f.disk().make_directories("/data/pages/")));
  const auto file = f.write("/data/pages/p", "1");
  EXPECT_EQ(*f.world.run(f.disk().list("/data")), std::vector<std::string>{"pages"});
  EXPECT_EQ(*f.world.run(f.disk().list("/")), std::vector<std::string>{"data"});
  EXPECT_FALSE(f.world.run(f.disk().remove("/data/pages")));
  EXPECT_EQ(f.world.run(f.disk().list("/nowhere")).error().code, Errc::kNotFound);
  EXPECT_EQ(f.world.files("n"), std::vector<std::string>{"/data/pages/p"});
}

TEST(SimDisk, SabotageFlipsABit) {
  Fixture f;
  const auto file = f.write("a", "A");
  ASSERT_TRUE(f.world.flip_bit("n", "a", 1));
  EXPECT_EQ(f.read("a"), "C");
  EXPECT_FALSE(f.world.flip_bit("n", "a", 8));
  EXPECT_EQ(as_text(*f.world.file("n", "a")), "C");
}

}  // namespace
}  // namespace skein
