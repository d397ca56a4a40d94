#include "common/env/task.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
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
  void cancel_before(std::uint64_t number);

  struct Running {
    std::uint64_t number = 0;
    bool began = false;
    bool doomed = false;  // cancelled before it began: then it never begins
    asio::cancellation_signal signal;
  };
  using Place = std::list<Running>::iterator;
  static Task<void> run(std::shared_ptr<Shared> shared, Place place, Task<void> work);

  Executor executor;
  std::list<Running> running;
  std::uint64_t next_number = 0;
  Signal ended;
};

void TaskGroup::Shared::cancel_before(std::uint64_t number) {
  // Emitting may end a task at once and erase its signal: step before emitting.
  for (auto it = running.begin(); it != running.end() && it->number < number;) {
    const auto current = it++;
    if (current->began) {
      current->signal.emit(asio::cancellation_type::terminal);
    } else {
      current->doomed = true;
    }
  }
}

// Boost 1.81 lets the cancellation of a task that has not begun, or has never waited, escape from
// co_spawn's own steps into the loop. Hence `doomed`, and the last line.
Task<void> TaskGroup::Shared::run(std::shared_ptr<Shared> /*stays*/, Place place, Task<void> work) {
  place->began = true;
  if (place->doomed) co_return;
  try {
    co_await std::move(work);
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
  }
  co_await asio::this_coro::throw_if_cancelled(false);
}

TaskGroup::TaskGroup(Executor executor) : shared_(std::make_shared<Shared>(std::move(executor))) {}
TaskGroup::~TaskGroup() { cancel(); }

std::size_t TaskGroup::running() const { return shared_->running.size(); }

void TaskGroup::spawn(Task<void> task) {
  const auto place = shared_->running.emplace(shared_->running.end());
  place->number = shared_->next_number++;
  auto done = [shared = shared_, place](const std::exception_ptr& thrown) {
    shared->running.erase(place);
    shared->ended.notify_all();
    CHECK(!thrown);  // tasks report by Result
  };
  Task<void> running = Shared::run(shared_, place, std::move(task));
  asio::co_spawn(shared_->executor, std::move(running),
                 asio::bind_cancellation_slot(place->signal.slot(), std::move(done)));
}

// Asio forwards a cancellation by dispatching a bare pointer to the task's own signal. From outside
// the loop that would be posted, and the task could end before it arrives; so the loop is entered
// first, here. Only a weak reference waits in the queue: it may outlive the loop's timers.
void TaskGroup::cancel() {
  if (shared_->running.empty()) return;
  asio::dispatch(shared_->executor, [weak = std::weak_ptr(shared_), number = shared_->next_number] {
    if (const auto shared = weak.lock()) shared->cancel_before(number);
  });
}

Task<void> TaskGroup::stop() {
  const auto shared = shared_;
  cancel();
  while (!shared->running.empty()) co_await shared->ended.wait();
}

Task<void> TaskGroup::join() {
  const auto shared = shared_;
  while (!shared->running.empty()) co_await shared->ended.wait();
}

Task<void> all_of(std::vector<Task<void>> tasks) {
  TaskGroup group(co_await asio::this_coro::executor);
  for (Task<void>& task : tasks) group.spawn(std::move(task));
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!group.shared_->running.empty()) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) group.cancel();
    co_await group.shared_->ended.wait();
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
}

namespace internal {

// Outlives whichever of the three ends last.
struct Race {
  explicit Race(const Executor& executor) : changed(executor), work(executor), alarm(executor) {}
  bool finished = false;
  bool unwound = false;  // the work is over, though its group may not know yet
  bool late = false;
  Signal changed;
  TaskGroup work;
  TaskGroup alarm;
};

static Task<void> run_work(std::shared_ptr<Race> race, Task<void> work) {
  struct Ended {
    Race& race;
    ~Ended() {
      race.unwound = true;
      race.changed.notify_all();
    }
  };
  const Ended ended{*race};
  co_await std::move(work);
  race->finished = true;
}

static Task<void> run_alarm(std::shared_ptr<Race> race, Clock& clock, Instant deadline) {
  co_await clock.sleep_until(deadline);
  race->late = true;
  race->changed.notify_all();
}

// Not `work || alarm`: Asio's operator cancels the loser even before it has begun, which Boost 1.81
// does not survive (see TaskGroup), and says nothing about when the loser has unwound.
Task<bool> finish_before(Clock& clock, Instant deadline, Task<void> work) {
  const auto race = std::make_shared<Race>(co_await asio::this_coro::executor);
  race->work.spawn(run_work(race, std::move(work)));
  race->alarm.spawn(run_alarm(race, clock, deadline));
  // Our own cancellation must still wait for the work to unwind: no throwing until then.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  // Not running(): co_spawn reports a task that never waited one turn of the loop after its end.
  while (!race->unwound && !race->late) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) break;
    co_await race->changed.wait();
  }
  co_await race->work.stop();
  co_await race->alarm.stop();
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return race->finished;
}

}  // namespace internal

}  // namespace skein
