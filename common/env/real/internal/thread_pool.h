// ThreadPool: the threads lent to kernels. Owned by RealEnv; for_each from one thread at a time
// (a second caller waits).
//
// A layer of the model is some dozens of short for_each calls, so entering and leaving one must
// cost about a microsecond: helpers spin for a moment after a round before they sleep, and nothing
// is allocated. Indices are claimed in shrinking runs from one word that also holds the round's
// number, so a helper that wakes late finds the round gone instead of stealing from the next.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
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

  std::size_t threads() const override { return helpers_.size() + 1; }
  void for_each(std::size_t count, const std::function<void(std::size_t)>& body) override;

 private:
  void help();
  void work(std::uint32_t round);
  bool spin_for_next_round(std::uint32_t seen) const;
  void wait_until_all_done();

  std::mutex one_caller_;
  std::atomic<std::uint32_t> round_{0};    // what sleeping helpers watch
  std::atomic<std::uint64_t> claims_{0};   // round << 32 | indices not yet claimed
  std::atomic<std::uint32_t> pending_{0};  // indices not yet finished
  std::atomic<std::uint32_t> count_{0};
  std::atomic<const std::function<void(std::size_t)>*> body_{nullptr};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace skein::real
