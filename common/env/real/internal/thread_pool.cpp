#include "common/env/real/internal/thread_pool.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::real {

namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

// Longer than the serial pieces between two rounds of one token, far shorter than anybody's idle
// time.
constexpr microseconds kSpin{50};
constexpr int kSpinsPerLook = 32;  // at the clock
// A helper is late when it keeps the caller waiting this long, several times longer than the
// caller's own pieces took, and longer than helpers have saved since one was late.
constexpr microseconds kLate{200};
constexpr int kLatePieces = 8;
constexpr microseconds kSavedMost{20000};  // what a long good record is worth
constexpr microseconds kAloneFirst{2000};
constexpr microseconds kAloneMost{64000};
constexpr std::uint32_t kForgiven = 2000;  // rounds on time

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Until `ready` or kSpin has passed; whether it was ready.
template <class Ready>
bool spin_until(Ready ready) {
  const auto until = steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kSpinsPerLook; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (steady_clock::now() < until);
  return ready();
}

std::uint32_t round_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
std::uint32_t index_of(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
std::uint64_t word_of(std::uint32_t round, std::size_t index) {
  return std::uint64_t{round} << 32 | index;
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads)
    : runs_size_(std::max<std::size_t>(threads, 1)), runs_(std::make_unique<Run[]>(runs_size_)) {
  for (std::size_t i = 1; i < runs_size_; ++i) helpers_.emplace_back([this, i] { help(i); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::for_each(std::size_t count, const std::function<void(std::size_t)>& body) {
  const std::lock_guard lock(one_caller_);
  const bool alone = helpers_.empty() || count < 2;
  if (alone || (alone_for_.count() != 0 && steady_clock::now() < alone_until_)) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    counters_.alone += alone ? 0 : 1;
    return;
  }
  CHECK(count <= UINT32_MAX);
  const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
  open(count, round, body);
  const auto began = steady_clock::now();
  work(0, round);
  const auto ended = steady_clock::now();
  const std::uint32_t own = index_of(runs_[0].done.load(std::memory_order_relaxed));
  wait_until_done(count, round);
  const auto waited = steady_clock::now() - ended;
  counters_.shared += 1;
  if (own == 0) return;
  const auto piece = (ended - began) / own;
  saved_ = std::min<Duration>(saved_ + piece * (count - own) - waited, kSavedMost);
  note_lateness(waited > kLate && waited > kLatePieces * piece && saved_ < Duration{0});
}

// Cuts the indices into a run for each thread. A run's `next` is stored last: who has seen it in
// this round sees the rest, and nobody touches the rest while an index of the round before is out.
void ThreadPool::open(std::size_t count, std::uint32_t round,
                      const std::function<void(std::size_t)>& body) {
  body_.store(&body, std::memory_order_relaxed);
  for (std::size_t i = 0; i < runs_size_; ++i) {
    runs_[i].end.store(word_of(round, count * (i + 1) / runs_size_), std::memory_order_relaxed);
    runs_[i].next.store(word_of(round, count * i / runs_size_), std::memory_order_release);
  }
  round_.store(round, std::memory_order_release);
  round_.notify_all();
}

// Its own run to the end, then the others'.
void ThreadPool::work(std::size_t thread, std::uint32_t round) {
  Run& own = runs_[thread];
  own.done.store(word_of(round, 0), std::memory_order_release);
  for (std::size_t i = 0; i < runs_size_; ++i) {
    Run& from = runs_[(thread + i) % runs_size_];
    while (take(from, own, round)) {
    }
  }
}

// One index, finished. Whoever has taken one keeps the round open until it is done, so the body is
// read only after that.
bool ThreadPool::take(Run& from, Run& own, std::uint32_t round) {
  std::uint64_t next = from.next.load(std::memory_order_acquire);
  do {
    const std::uint64_t end = from.end.load(std::memory_order_relaxed);
    if (round_of(next) != round || round_of(end) != round) return false;
    if (index_of(next) >= index_of(end)) return false;
  } while (!from.next.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire));
  (*body_.load(std::memory_order_relaxed))(index_of(next));
  // Sequentially consistent, like the caller's two accesses before it sleeps: one sees the other.
  own.done.store(own.done.load(std::memory_order_relaxed) + 1);
  if (caller_sleeps_.load()) {
    finished_.fetch_add(1);
    finished_.notify_one();
  }
  return true;
}

std::size_t ThreadPool::done(std::uint32_t round) const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < runs_size_; ++i) {
    const std::uint64_t done = runs_[i].done.load();
    if (round_of(done) == round) sum += index_of(done);
  }
  return sum;
}

void ThreadPool::wait_until_done(std::size_t count, std::uint32_t round) {
  if (done(round) == count) return;
  if (spin_until([&] { return done(round) == count; })) return;
  caller_sleeps_.store(true);
  for (;;) {
    const std::uint32_t seen = finished_.load();
    if (done(round) == count) break;
    finished_.wait(seen);
  }
  caller_sleeps_.store(false);
}

// Each time helpers are late again soon after, they are left out for twice as long.
void ThreadPool::note_lateness(bool late) {
  if (!late) {
    on_time_ += 1;
    if (on_time_ >= kForgiven) alone_for_ = microseconds{0};
    return;
  }
  counters_.late += 1;
  on_time_ = 0;
  saved_ = Duration{0};
  alone_for_ = std::clamp(alone_for_ * 2, kAloneFirst, kAloneMost);
  alone_until_ = steady_clock::now() + alone_for_;
}

void ThreadPool::help(std::size_t thread) {
  std::uint32_t seen = 0;
  for (;;) {
    const auto next_round = [&] { return round_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(next_round)) round_.wait(seen, std::memory_order_acquire);
    seen = round_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    work(thread, seen);
  }
}

}  // namespace skein::real
