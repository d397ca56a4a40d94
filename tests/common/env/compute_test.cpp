#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <numeric>
#include <thread>

#include "common/env/real/internal/thread_pool.h"
#include "common/env/real/real_env.h"

namespace skein {
namespace {

TEST(ThreadPool, CallsEachIndexExactlyOnceInEveryRound) {
  for (const std::size_t threads : {1U, 2U, 3U, 5U}) {
    real::ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    std::vector<std::uint32_t> calls(257);
    for (std::size_t round = 0; round < 2000; ++round) {
      const std::size_t count = round % calls.size();
      std::ranges::fill(calls, 0U);
      pool.for_each(count, [&](std::size_t i) { ++calls[i]; });
      for (std::size_t i = 0; i < calls.size(); ++i) ASSERT_EQ(calls[i], i < count ? 1U : 0U);
    }
  }
}

TEST(ThreadPool, WakesHelpersThatFellAsleep) {
  real::ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<std::size_t> sum{0};
    pool.for_each(1000, [&](std::size_t i) { sum += i; });
    ASSERT_EQ(sum, 499'500U);
  }
}

TEST(ThreadPool, SharesUnevenWork) {
  real::ThreadPool pool(2);
  std::vector<std::uint64_t> out(64);
  pool.for_each(out.size(), [&](std::size_t i) {
    std::uint64_t value = i;
    for (std::size_t k = 0; k < (i == 0 ? 2'000'000U : 10U); ++k) value = value * 31 + k;
    out[i] = value;
  });
  for (std::size_t i = 1; i < out.size(); ++i) EXPECT_NE(out[i], 0U);
}

// A helper whose core another program has taken is one that sleeps in the middle of a piece.
TEST(ThreadPool, NobodyWaitsAgainForAHelperThatWasLate) {
  using std::chrono::milliseconds;
  real::ThreadPool pool(2);
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> taken = true;
  const std::function<void(std::size_t)> piece = [&](std::size_t) {
    if (taken && std::this_thread::get_id() != caller) std::this_thread::sleep_for(milliseconds(5));
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(10);
    while (std::chrono::steady_clock::now() < until) {
    }
  };
  // Given rounds until a helper took part, and was late,
  for (int round = 0; round < 1000 && pool.counters().late == 0; ++round) pool.for_each(64, piece);
  ASSERT_GT(pool.counters().late, 0U);
  // when more rounds follow at once, then the caller does them alone,
  const auto shared = pool.counters().shared;
  std::thread::id other;
  pool.for_each(64, [&](std::size_t) {
    if (std::this_thread::get_id() != caller) other = std::this_thread::get_id();
  });
  EXPECT_EQ(pool.counters().alone, 1U);
  EXPECT_EQ(pool.counters().shared, shared);
  EXPECT_EQ(other, std::thread::id());
  // and after a while they are shared again.
  taken = false;
  std::this_thread::sleep_for(milliseconds(100));
  pool.for_each(64, piece);
  EXPECT_GT(pool.counters().shared, shared);
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(ThreadPool, TakesNoCoreWhileThereIsNothingToDo) {
  real::ThreadPool pool(4);
  pool.for_each(100, [](std::size_t) {});
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu_seconds() - before, 0.1);  // three spinning helpers would use 0.6 on two cores
}

TEST(RealCompute, RunsAJobOffTheLoopWhichStaysAwake) {
  RealEnv real({.compute_threads = 2});
  Env env = real.env();
  std::atomic<bool> release = false;
  TaskGroup group(env.executor);
  auto open_later = [](Clock& clock, std::atomic<bool>& flag) -> Task<void> {
    co_await clock.sleep_for(std::chrono::milliseconds(5));
    flag = true;  // only a live loop gets here
  };
  group.spawn(open_later(env.clock, release));
  std::size_t sum = 0;
  std::function<void()> job = [&] {
    while (!release) std::this_thread::yield();
    std::vector<std::size_t> parts(100);
    env.compute.parallel().for_each(parts.size(), [&](std::size_t i) { parts[i] = i; });
    sum = std::accumulate(parts.begin(), parts.end(), std::size_t{0});
  };
  real.run(env.compute.run(std::move(job), Duration(0)));
  EXPECT_EQ(sum, 4950U);
  EXPECT_EQ(env.compute.parallel().threads(), 2U);
}

TEST(RealCompute, JobsRunOneAfterTheOther) {
  RealEnv real({.compute_threads = 1});
  Env env = real.env();
  TaskGroup group(env.executor);
  int inside = 0;
  int most = 0;
  int done = 0;
  auto submit = [](Compute& compute, std::function<void()> job) -> Task<void> {
    co_await compute.run(std::move(job), Duration(0));
  };
  for (int i = 0; i < 50; ++i) {
    group.spawn(submit(env.compute, [&] {
      most = std::max(most, ++inside);
      ++done;
      --inside;
    }));
  }
  real.run(group.join());
  EXPECT_EQ(done, 50);
  EXPECT_EQ(most, 1);
}

}  // namespace
}  // namespace skein
