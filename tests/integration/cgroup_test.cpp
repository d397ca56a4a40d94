// The harness itself: what it says of a program that stays within its limit, and of one that does
// not.
#include "tests/support/cgroup.h"

#include <gtest/gtest.h>

#include <iostream>

namespace skein::test {
namespace {

class Cgroup : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_cgroup()) {
      std::cerr << *why << '\n';
      GTEST_SKIP() << *why;
    }
  }
};

constexpr std::uint64_t kMiB = 1 << 20;

TEST_F(Cgroup, TellsExitCodeOutputAndPeak) {
  const CgroupRun run = run_in_cgroup({.memory_bytes = 64 * kMiB},
                                      {"/bin/sh", "-c", "echo here; echo there >&2; exit 7"});
  EXPECT_EQ(run.failure, "");
  EXPECT_EQ(run.exit_code, 7);
  EXPECT_FALSE(run.killed);
  EXPECT_EQ(run.output, "here\nthere\n");
  EXPECT_GT(run.peak_bytes, 0U);
  EXPECT_LE(run.peak_bytes, 64 * kMiB);
}

TEST_F(Cgroup, AProgramThatTakesMoreIsKilledAndItIsSaid) {
  // A shell variable of 200 MB.
  const CgroupRun run =
      run_in_cgroup({.memory_bytes = 32 * kMiB},
                    {"/bin/sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' a)"});
  EXPECT_EQ(run.failure, "");
  EXPECT_TRUE(run.killed);
  EXPECT_EQ(run.exit_code, -1);
  EXPECT_LE(run.peak_bytes, 32 * kMiB);
  EXPECT_GE(run.peak_bytes, 30 * kMiB);
}

TEST_F(Cgroup, AProgramThatDoesNotEndIsEnded) {
  const CgroupRun run = run_in_cgroup(
      {.memory_bytes = 64 * kMiB, .deadline = std::chrono::seconds(1)}, {"/bin/sleep", "600"});
  EXPECT_TRUE(run.late);
  EXPECT_FALSE(run.killed);
}

TEST_F(Cgroup, AProgramThatIsNotThereIsAFailure) {
  EXPECT_NE(run_in_cgroup({.memory_bytes = 64 * kMiB}, {"/nowhere/program"}).failure, "");
}

TEST_F(Cgroup, CountsWhatIsReadOfTheDeviceThatIsNamed) {
  const std::string path =
      std::filesystem::current_path() / ("cgroup-test-" + std::to_string(::getpid()));
  std::ofstream(path) << std::string(8 * kMiB, 'a');
  const auto read = [&](std::uint64_t bytes_per_second) {
    return run_in_cgroup(
        {.memory_bytes = 64 * kMiB, .read_bytes_per_second = bytes_per_second, .device_of = path},
        {"/bin/dd", "if=" + path, "of=/dev/null", "bs=1M", "iflag=direct"});
  };
  const CgroupRun free = read(0);
  const CgroupRun limited = read(64 * kMiB);
  std::filesystem::remove(path);
  if (!free.failure.empty() || free.exit_code != 0) {
    const std::string why = "NOT TESTED HERE, counted reads: " + free.failure + free.output;
    std::cerr << why << '\n';
    GTEST_SKIP() << why;
  }
  for (const CgroupRun& run : {free, limited}) {
    EXPECT_EQ(run.exit_code, 0) << run.failure << run.output;
    EXPECT_GE(run.read_bytes, 8 * kMiB);
    EXPECT_LT(run.read_bytes, 12 * kMiB);  // and what the program itself is read from
  }
}

}  // namespace
}  // namespace skein::test
