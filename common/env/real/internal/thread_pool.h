// ThreadPool: the threads lent to kernels. Owned by RealEnv; for_each from one thread at a time
// (a second caller waits).
//
// A token is over a hundred short rounds, each a walk through memory, so three things count. A
// round must cost about a microsecond: helpers spin for a moment after a round before they sleep,
// and nothing is allocated. Each thread must walk straight ahead: the indices are cut into one run
// a thread, which it takes piece by piece, and only who has finished its own run takes from
// another's. And nobody may wait for a thread that is not running: when another program has taken
// a helper's core, its run is finished by others, and a caller that had to wait for a helper for
// longer than helpers save works alone for a while.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/ops/parallel.h"

namespace skein::real {

class ThreadPool final : public Parallel {
 public:
  explicit ThreadPool(std::size_t threads);  // the caller counts as one
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t threads() const override { return runs_size_; }
  void for_each(std::size_t count, const std::function<void(std::size_t)>& body) override;

  // Rounds that helpers took part in, and those that the caller did alone because one had been
  // late.
  struct Counters {
    std::uint64_t shared = 0, alone = 0, late = 0;
  };
  const Counters& counters() const { return counters_; }  // caller's thread

 private:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;
  // One thread's indices, and how many it has finished, its own or others'.
  struct alignas(128) Run {
    std::atomic<std::uint64_t> next{0};               // round << 32 | first index not taken
    std::atomic<std::uint64_t> end{0};                // round << 32 | index after the last
    alignas(128) std::atomic<std::uint64_t> done{0};  // round << 32 | indices its thread finished
  };

  void help(std::size_t thread);
  void open(std::size_t count, std::uint32_t round, const std::function<void(std::size_t)>& body);
  void work(std::size_t thread, std::uint32_t round);
  bool take(Run& from, Run& own, std::uint32_t round);
  std::size_t done(std::uint32_t round) const;
  void wait_until_done(std::size_t count, std::uint32_t round);
  void note_lateness(bool late);

  std::mutex one_caller_;
  std::size_t runs_size_;
  std::unique_ptr<Run[]> runs_;                       // [0] is the caller's
  alignas(128) std::atomic<std::uint32_t> round_{0};  // what helpers watch
  std::atomic<std::uint32_t> finished_{0};            // what a sleeping caller watches
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<const std::function<void(std::size_t)>*> body_{nullptr};
  std::atomic<bool> stopping_{false};
  Time alone_until_{};                      // no helpers before
  std::chrono::microseconds alone_for_{0};  // next time one is late
  std::uint32_t on_time_ = 0;               // shared rounds since
  Duration saved_{0};                       // by helpers, less what they kept waiting
  Counters counters_;
  std::vector<std::thread> helpers_;
};

}  // namespace skein::real
