#include "common/env/real/internal/thread_pool.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::real {

namespace {

// About 50 microseconds: longer than the serial pieces between two rounds of one token, far
// shorter than anybody's idle time.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) {
  for (std::size_t i = 1; i < threads; ++i) helpers_.emplace_back([this] { help(); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::for_each(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (helpers_.empty() || count < 2) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  CHECK(count <= UINT32_MAX);
  const std::lock_guard lock(one_caller_);
  body_.store(&body, std::memory_order_relaxed);
  count_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  pending_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
  claims_.store(std::uint64_t{round} << 32 | count, std::memory_order_release);
  round_.store(round, std::memory_order_release);
  round_.notify_all();
  work(round);
  wait_until_all_done();
}

// Whoever claims an index keeps the round open until it has finished it, so body and count are
// read only after a claim has succeeded.
void ThreadPool::work(std::uint32_t round) {
  std::uint64_t claims = claims_.load(std::memory_order_acquire);
  for (;;) {
    const auto left = static_cast<std::uint32_t>(claims);
    if (claims >> 32 != round || left == 0) return;
    const auto share = static_cast<std::uint32_t>(left / (2 * threads()));
    const std::uint32_t take = std::max<std::uint32_t>(1, share);
    if (!claims_.compare_exchange_weak(claims, claims - take, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;
    }
    const std::function<void(std::size_t)>& body = *body_.load(std::memory_order_relaxed);
    const std::size_t first = count_.load(std::memory_order_relaxed) - left;
    for (std::size_t i = first; i < first + take; ++i) body(i);
    if (pending_.fetch_sub(take, std::memory_order_acq_rel) == take) pending_.notify_one();
    claims = claims_.load(std::memory_order_acquire);
  }
}

void ThreadPool::wait_until_all_done() {
  for (int i = 0; i < kSpins; ++i) {
    if (pending_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  for (std::uint32_t left = pending_.load(std::memory_order_acquire); left != 0;
       left = pending_.load(std::memory_order_acquire)) {
    pending_.wait(left, std::memory_order_acquire);
  }
}

bool ThreadPool::spin_for_next_round(std::uint32_t seen) const {
  for (int i = 0; i < kSpins; ++i) {
    if (round_.load(std::memory_order_acquire) != seen) return true;
    relax();
  }
  return false;
}

void ThreadPool::help() {
  std::uint32_t seen = 0;
  for (;;) {
    if (!spin_for_next_round(seen)) round_.wait(seen, std::memory_order_acquire);
    seen = round_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    work(seen);
  }
}

}  // namespace skein::real
