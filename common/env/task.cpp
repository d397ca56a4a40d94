#include "common/env/task.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>

#include "common/base/check.h"
#include "common/env/env.h"

namespace skein {

namespace asio = boost::asio;

struct Signal::Timer {
  asio::steady_timer timer;
};

Signal::Signal(Executor executor)
    : timer_(std::make_unique<Timer>(
          Timer{asio::steady_timer(executor, asio::steady_timer::time_point::max())})) {}
Signal::~Signal() = default;

void Signal::notify_all() { timer_->timer.cancel(); }

Task<void> Signal::wait() {
  co_await timer_->timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

struct TaskGroup::Shared {
  explicit Shared(Executor e) : executor(std::move(e)), ended(executor) {}
  Executor executor;
  std::list<asio::cancellation_signal> signals;
  Signal ended;
};

TaskGroup::TaskGroup(Executor executor) : shared_(std::make_shared<Shared>(std::move(executor))) {}
TaskGroup::~TaskGroup() { cancel(); }

std::size_t TaskGroup::running() const { return shared_->signals.size(); }

void TaskGroup::spawn(Task<void> task) {
  shared_->signals.emplace_back();
  const auto signal = std::prev(shared_->signals.end());
  auto done = [shared = shared_, signal](const std::exception_ptr& thrown) {
    shared->signals.erase(signal);
    shared->ended.notify_all();
    if (!thrown) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
      CHECK(error.code() == asio::error::operation_aborted && "a task threw");
    }
  };
  asio::co_spawn(shared_->executor, std::move(task),
                 asio::bind_cancellation_slot(signal->slot(), std::move(done)));
}

void TaskGroup::cancel() {
  // Emitting may end a task at once and erase its signal: step before emitting.
  for (auto it = shared_->signals.begin(); it != shared_->signals.end();) {
    const auto current = it++;
    current->emit(asio::cancellation_type::terminal);
  }
}

Task<void> TaskGroup::stop() {
  const auto shared = shared_;
  cancel();
  while (!shared->signals.empty()) co_await shared->ended.wait();
}

Task<void> TaskGroup::join() {
  const auto shared = shared_;
  while (!shared->signals.empty()) co_await shared->ended.wait();
}

namespace internal {

// A cancelled task ends here like any other, so that `||` below never meets two exceptions at once.
static Task<void> until_cancelled(Task<void> work) {
  try {
    co_await std::move(work);
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
  }
}

Task<bool> finish_before(Clock& clock, Instant deadline, Task<void> work) {
  using asio::experimental::awaitable_operators::operator||;
  Task<void> alarm = until_cancelled(clock.sleep_until(deadline));
  Task<void> guarded = until_cancelled(std::move(work));
  const auto first = co_await (std::move(guarded) || std::move(alarm));
  co_return first.index() == 0;
}

}  // namespace internal

}  // namespace skein
