#include "common/env/throttle/throttled_disk.h"

#include <gtest/gtest.h>

#include "common/env/real/real_env.h"
#include "tests/support/memory_disk.h"

namespace skein {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class FakeTime final : public BlockingClock {
 public:
  Instant now() const override { return now_; }
  void sleep_until(Instant wake) override { now_ = std::max(now_, wake); }
  void pass(Duration duration) { now_ += duration; }

 private:
  Instant now_{};
};

constexpr Instant at(Duration since) { return Instant(since); }

TEST(StorageModel, OneAtATimeEachPaysLatencyAndBytes) {
  StorageModel emmc({.megabytes_per_second = 100, .latency = microseconds(200), .depth = 1});
  EXPECT_EQ(emmc.finish(at(milliseconds(0)), 100'000), at(microseconds(1200)));
  EXPECT_EQ(emmc.finish(at(milliseconds(0)), 100'000), at(microseconds(2400)));
  EXPECT_EQ(emmc.finish(at(milliseconds(10)), 100'000), at(microseconds(11'200)));
}

TEST(StorageModel, ManyAtOnceOverlapTheirLatencyAndShareTheBandwidth) {
  StorageModel ufs({.megabytes_per_second = 100, .latency = microseconds(200), .depth = 32});
  Instant last{};
  for (int i = 0; i < 32; ++i) last = ufs.finish(Instant{}, 100'000);
  EXPECT_EQ(last, at(microseconds(200 + 32 * 1000)));
}

TEST(StorageModel, BeyondItsDepthARequestWaitsForAPlace) {
  StorageModel shallow({.megabytes_per_second = 0, .latency = milliseconds(1), .depth = 2});
  EXPECT_EQ(shallow.finish(Instant{}, 1), at(milliseconds(1)));
  EXPECT_EQ(shallow.finish(Instant{}, 1), at(milliseconds(1)));
  EXPECT_EQ(shallow.finish(Instant{}, 1), at(milliseconds(2)));
  EXPECT_EQ(shallow.finish(Instant{}, 1), at(milliseconds(2)));
  EXPECT_EQ(shallow.finish(Instant{}, 1), at(milliseconds(3)));
}

TEST(StorageModel, ALateRequestDelaysOnlyItself) {
  StorageModel model({.megabytes_per_second = 100, .latency = microseconds(100)});
  EXPECT_EQ(model.finish(Instant{}, 1000, seconds(3)), at(seconds(3) + microseconds(110)));
  EXPECT_EQ(model.finish(Instant{}, 1000), at(microseconds(120)));
}

struct Slow {
  explicit Slow(StorageSpeed speed) : storage(speed) {
    disk.place("a", Buffer(1 << 20, std::byte{7}));
    reads = throttled(std::move(*disk.open_blocks("a")), storage, time);
  }
  void submit(std::size_t count) {
    std::vector<BlockRead> asked;
    for (std::size_t i = 0; i < count; ++i) asked.push_back({i * 1000, memory, i});
    ASSERT_TRUE(reads->submit(asked));
  }
  test::MemoryDisk disk;
  FakeTime time;
  SharedStorage storage;
  Buffer memory = Buffer(1000);
  std::unique_ptr<BlockReads> reads;
  std::vector<BlockReadDone> done = std::vector<BlockReadDone>(64);
};

TEST(ThrottledReads, AreTakenWhenTheModelHasThem) {
  Slow slow({.megabytes_per_second = 1, .latency = milliseconds(5)});  // 1 ms for 1000 bytes
  slow.submit(4);
  EXPECT_EQ(slow.reads->wait(slow.done, 0, seconds(9)), 0U);
  EXPECT_EQ(slow.reads->wait(slow.done, 1, seconds(9)), 1U);
  EXPECT_EQ(slow.time.now(), at(milliseconds(6)));
  EXPECT_EQ(slow.done[0].tag, 0U);
  EXPECT_EQ(slow.reads->wait(slow.done, 3, milliseconds(2)), 2U);  // the deadline came first
  EXPECT_EQ(slow.time.now(), at(milliseconds(8)));
  slow.time.pass(seconds(1));
  EXPECT_EQ(slow.reads->wait(slow.done, 1, seconds(9)), 1U);
  EXPECT_EQ(slow.done[0].tag, 3U);
  EXPECT_EQ(slow.memory[0], std::byte{7});
  EXPECT_EQ(slow.reads->wait(slow.done, 1, seconds(9)), 0U);
}

TEST(ThrottledReads, FilesOfOneDeviceShareItsBandwidth) {
  Slow slow({.megabytes_per_second = 1});
  const auto other = throttled(std::move(*slow.disk.open_blocks("a")), slow.storage, slow.time);
  const BlockRead read{0, slow.memory, 9};
  ASSERT_TRUE(other->submit({&read, 1}));
  slow.submit(1);
  EXPECT_EQ(slow.reads->wait(slow.done, 1, std::chrono::nanoseconds::max()), 1U);
  EXPECT_EQ(slow.time.now(), at(milliseconds(2)));
}

TEST(ThrottledReads, HundredsComeInTheirOrder) {
  Slow slow({.megabytes_per_second = 1, .latency = milliseconds(1)});
  slow.submit(500);
  std::uint64_t next = 0;
  while (next < 500) {
    const std::size_t got = slow.reads->wait(slow.done, 64, seconds(99));
    ASSERT_GT(got, 0U);
    for (std::size_t i = 0; i < got; ++i) ASSERT_EQ(slow.done[i].tag, next++);
  }
  EXPECT_EQ(slow.time.now(), at(milliseconds(501)));
}

TEST(ThrottledDisk, ADeadlinePassesWhileTheRealDeviceIsTooSlow) {
  RealEnv real({.compute_threads = 1,
                .log_level = LogLevel::kError,
                .storage = {.latency = std::chrono::hours(1)}});
  const Env env = real.env();
  const std::string path = testing::TempDir() + "skein_late";
  ASSERT_TRUE(real.run(replace_file(env.disk, path, Buffer(4096, std::byte{3}))));
  alignas(4096) std::byte memory[4096];
  {
    const auto reads = env.disk.open_blocks(path);
    ASSERT_TRUE(reads);
    const BlockRead read{0, memory, 1};
    ASSERT_TRUE((*reads)->submit({&read, 1}));
    BlockReadDone done[1];
    const Instant before = env.clock.now();
    EXPECT_EQ((*reads)->wait(done, 1, milliseconds(5)), 0U);
    EXPECT_GE(env.clock.now() - before, milliseconds(5));
    EXPECT_EQ((*reads)->wait(done, 1, std::chrono::nanoseconds{0}), 0U);  // it is still out
  }
  ASSERT_TRUE(real.run(env.disk.remove(path)));
}

TEST(ThrottledDisk, WhatMissedItsDeadlineIsTakenLater) {
  const std::string path = testing::TempDir() + "skein_late";
  RealEnv real({.compute_threads = 1, .log_level = LogLevel::kError});
  const Env env = real.env();
  ASSERT_TRUE(real.run(replace_file(env.disk, path, Buffer(4096, std::byte{3}))));
  alignas(4096) std::byte memory[4096];
  FakeTime time;
  SharedStorage storage({.latency = seconds(5)});
  {
    const auto reads = throttled(std::move(*env.disk.open_blocks(path)), storage, time);
    const BlockRead read{0, memory, 1};
    ASSERT_TRUE(reads->submit({&read, 1}));
    BlockReadDone done[1];
    EXPECT_EQ(reads->wait(done, 1, seconds(2)), 0U);
    EXPECT_EQ(time.now(), at(seconds(2)));
    EXPECT_EQ(reads->wait(done, 1, seconds(9)), 1U);
    EXPECT_EQ(time.now(), at(seconds(5)));
    EXPECT_TRUE(done[0].result);
    EXPECT_EQ(memory[4095], std::byte{3});
  }
  ASSERT_TRUE(real.run(env.disk.remove(path)));
}

TEST(ThrottledDisk, TheRealDisksReadsAreSlowedThroughBothDoors) {
  RealEnv real({.compute_threads = 1,
                .log_level = LogLevel::kError,
                .storage = {.megabytes_per_second = 1, .latency = milliseconds(1)}});
  const Env env = real.env();
  const std::string path = testing::TempDir() + "skein_throttled";
  ASSERT_TRUE(real.run(replace_file(env.disk, path, Buffer(40'000, std::byte{3}))));
  Instant before = env.clock.now();
  const auto bytes = real.run(read_file(env.disk, path, 100'000));
  EXPECT_GE(env.clock.now() - before, milliseconds(41));
  const auto reads = env.disk.open_blocks(path);
  ASSERT_TRUE(reads);
  EXPECT_NE((*reads)->kind().find("throttled"), std::string::npos);
  alignas(4096) std::byte memory[8192];
  const BlockRead read{0, memory, 1};
  before = env.clock.now();
  ASSERT_TRUE((*reads)->submit({&read, 1}));
  BlockReadDone done[1];
  EXPECT_EQ((*reads)->wait(done, 1, seconds(60)), 1U);
  EXPECT_GE(env.clock.now() - before, milliseconds(9));
  EXPECT_EQ(memory[8191], std::byte{3});
  ASSERT_TRUE(real.run(env.disk.remove(path)));
}

}  // namespace
}  // namespace skein
