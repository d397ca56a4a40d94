#include <gtest/gtest.h>

#include <tuple>

#include "common/env/block_reads.h"
#include "simulations/world/world.h"

namespace skein {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBlock = BlockReads::kMostAlignment;

struct Fixture {
  explicit Fixture(FaultPlan plan = {}, std::uint64_t seed = 1)
      : world({.seed = seed, .faults = plan}), env(world.node_env("n")) {
    Buffer bytes(64 * kBlock);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 / 5);
    CHECK(world.run(replace_file(env.disk, "a", bytes)).has_value());
    reads = std::move(*env.disk.open_blocks("a"));
  }
  // Reads every block inside one job; the results by block.
  std::vector<Result<void>> read_all() {
    std::vector<Result<void>> results(64);
    std::function<void()> job = [&] {
      std::vector<BlockRead> asked;
      for (std::size_t i = 0; i < 64; ++i) {
        const auto at = static_cast<std::size_t>(
            kBlock - reinterpret_cast<std::uintptr_t>(memory.data()) % kBlock);
        asked.push_back({i * kBlock, MutableByteView(memory).subspan(at + i * kBlock, kBlock), i});
        out[i] = asked.back().out;
      }
      CHECK(reads->submit(asked).has_value());
      std::vector<BlockReadDone> done(64);
      for (std::size_t taken = 0; taken < 64;) {
        const std::size_t got = reads->wait(done, 1, seconds(3600));
        CHECK(got > 0);
        for (std::size_t i = 0; i < got; ++i) results[done[i].tag] = done[i].result;
        taken += got;
      }
    };
    world.run(env.compute.run(job, milliseconds(1)));
    return results;
  }
  std::size_t wrong_blocks() const {
    const Buffer file = *world.file("n", "a");
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      wrong += std::memcmp(out[i].data(), file.data() + i * kBlock, kBlock) != 0;
    }
    return wrong;
  }

  World world;
  Env env;
  std::unique_ptr<BlockReads> reads;
  Buffer memory = Buffer(66 * kBlock);
  std::array<MutableByteView, 64> out{};
};

FaultPlan exact() {
  FaultPlan plan;
  plan.compute_jitter = 0;
  plan.disk_latency = milliseconds(2);
  plan.disk_bytes_per_second = 4096 * 1000;  // a block a millisecond
  return plan;
}

TEST(SimBlockReads, AJobTakesAsLongAsWhatItWaitedFor) {
  Fixture f(exact());
  const Instant before = f.world.clock().now();
  for (const auto& result : f.read_all()) EXPECT_TRUE(result);
  EXPECT_EQ(f.wrong_blocks(), 0U);
  EXPECT_EQ(f.world.clock().now() - before, milliseconds(2 + 64 + 1));
  EXPECT_EQ(f.world.block_counters("n").reads, 64U);
  EXPECT_EQ(f.world.block_counters("n").bytes, 64 * kBlock);
}

TEST(SimBlockReads, AStalledReadIsLeftBehindAtTheDeadline) {
  FaultPlan plan = exact();
  plan.stalled_block = 1;
  plan.longest_stall = seconds(1'000'000);
  Fixture f(plan);
  std::size_t got = 99;
  std::function<void()> job = [&] {
    alignas(kBlock) static std::byte block[kBlock];
    const BlockRead read{0, block, 1};
    CHECK(f.reads->submit({&read, 1}).has_value());
    BlockReadDone done[1];
    got = f.reads->wait(done, 1, seconds(2));
  };
  const Instant before = f.world.clock().now();
  f.world.run(f.env.compute.run(job, milliseconds(1)));
  EXPECT_EQ(got, 0U);
  EXPECT_EQ(f.world.clock().now() - before, seconds(2) + milliseconds(1));
  EXPECT_EQ(f.world.block_counters("n").stalled, 1U);
}

TEST(SimBlockReads, ALieIsInTheReadAndNotInTheFile) {
  FaultPlan plan;
  plan.lying_block = 0.5;
  Fixture f(plan);
  for (const auto& result : f.read_all()) EXPECT_TRUE(result);
  EXPECT_GT(f.wrong_blocks(), 10U);
  EXPECT_EQ(f.wrong_blocks(), f.world.block_counters("n").lied);
}

TEST(SimBlockReads, FailedAndShortReadsAreErrorsThatNameTheirPlace) {
  FaultPlan plan;
  plan.read_error = 0.3;
  plan.short_block = 0.3;
  plan.slow_block = 0.5;
  Fixture f(plan);
  std::uint64_t failed = 0, shorter = 0;
  for (const auto& result : f.read_all()) {
    if (result) continue;
    failed += result.error().code == Errc::kInput;
    shorter += result.error().code == Errc::kCorrupt;
    EXPECT_EQ(result.error().where, "a");
    EXPECT_NE(result.error().what.find("byte "), std::string::npos);
  }
  const BlockCounters counters = f.world.block_counters("n");
  EXPECT_GT(failed, 0U);
  EXPECT_GT(shorter, 0U);
  EXPECT_EQ(std::tie(failed, shorter), std::tie(counters.failed, counters.cut_short));
  EXPECT_GT(counters.slow, 0U);
}

TEST(SimBlockReads, ATruncatedFileAndADeadNodeGiveErrors) {
  Fixture f;
  ASSERT_TRUE(f.world.truncate("n", "a", 10 * kBlock));
  const auto results = f.read_all();
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(results[i].has_value(), i < 10) << i;
  f.world.crash("n");
  const BlockRead read{0, f.out[0], 1};
  const auto dead = f.reads->submit({&read, 1});
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().code, Errc::kCancelled);
}

TEST(SimBlockReads, TheSameSeedGivesTheSameFaults) {
  FaultPlan plan;
  plan.lying_block = 0.2;
  plan.read_error = 0.2;
  plan.stalled_block = 0.1;
  const auto run = [&](std::uint64_t seed) {
    Fixture f(plan, seed);
    (void)f.read_all();
    return std::pair(f.world.trace_hash(), f.world.clock().now());
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

}  // namespace
}  // namespace skein
