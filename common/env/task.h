// Task and what holds tasks together. The one header through which other rooms meet Boost.Asio.
//
// Everything runs on one loop thread per Env; nothing here is thread safe. A cancelled task
// unwinds: its pending operation reports Errc::kCancelled or throws operation_aborted, and the
// throw ends at the TaskGroup. So coroutines clean up in destructors, never after the last co_await
// only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace skein {

template <class T>
using Task = boost::asio::awaitable<T>;  // lazy; runs on the caller's loop
using Executor = boost::asio::any_io_executor;

using Duration = std::chrono::nanoseconds;
struct MonotonicClock {  // only a tag for Instant's type: nothing can ask it for the time
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, duration>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;  // since the Env began

class Clock;

// Detached tasks that end together. The owner outlives its tasks or calls stop() first.
class TaskGroup {
 public:
  explicit TaskGroup(Executor executor);
  ~TaskGroup();  // asks what still runs to cancel; does not wait
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task` soon. What it throws other than cancellation is a bug and stops the process.
  void spawn(Task<void> task);
  void cancel();      // asks every task to unwind
  Task<void> stop();  // cancel, then wait until all have
  Task<void> join();  // wait until all have ended by themselves
  std::size_t running() const;

 private:
  friend Task<void> all_of(std::vector<Task<void>> tasks);
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// Runs the tasks side by side until all have ended. When the caller is cancelled they are too, and
// have unwound before it goes on: they may use what is the caller's.
Task<void> all_of(std::vector<Task<void>> tasks);

// Wakes whoever waits now. Waiters re-check their condition. Not thread safe.
class Signal {
 public:
  explicit Signal(Executor executor);
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  void notify_all();
  Task<void> wait();

 private:
  struct Timer;
  std::unique_ptr<Timer> timer_;
};

namespace internal {
// Runs `work` until `deadline`, then cancels it. True when the work ended by itself.
Task<bool> finish_before(Clock& clock, Instant deadline, Task<void> work);
}  // namespace internal

// The task's own result, or Errc::kDeadline naming `what` when the instant comes first (the task is
// then cancelled and has unwound).
template <class T>
Task<Result<T>> with_deadline(Clock& clock, Instant deadline, std::string what,
                              Task<Result<T>> task) {
  Result<T> result = fail(Errc::kCancelled, what + " was cancelled");
  auto store = [](Task<Result<T>> inner, Result<T>& out) -> Task<void> {
    out = co_await std::move(inner);
  };
  Task<void> work = store(std::move(task), result);
  const bool finished = co_await internal::finish_before(clock, deadline, std::move(work));
  if (!finished) co_return fail(Errc::kDeadline, what + " took too long");
  co_return result;
}

}  // namespace skein
