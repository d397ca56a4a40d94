#include "common/env/real/internal/workers.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skein::real {

namespace asio = boost::asio;

Workers::Workers(asio::io_context& loop, std::size_t threads)
    : loop_(loop), room_(loop.get_executor()) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() { join(); }

void Workers::join() {
  std::deque<Entry> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Workers::work() {
  for (;;) {
    Entry entry;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      entry = std::move(queue_.front());
      queue_.pop_front();
    }
    entry();
  }
}

void Workers::push(Entry entry) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(entry));
  }
  ready_.notify_one();
}

Task<void> Workers::enqueue(std::function<void()> job) {
  auto initiate = [this](auto handler, std::function<void()> work) {
    auto guard = asio::make_work_guard(loop_);  // run() stays while a job is out
    push([this, guard = std::move(guard), handler = std::move(handler),
          work = std::move(work)]() mutable {
      work();
      work = nullptr;
      asio::post(loop_, std::move(handler));
    });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      std::move(initiate), asio::use_awaitable, std::move(job));
}

Task<void> Workers::run(std::function<void()> job) {
  while (in_flight_ >= kMaxWaiting) co_await room_.wait();
  struct Place {  // gives the place back however the task ends
    Workers& workers;
    ~Place() {
      --workers.in_flight_;
      workers.room_.notify_all();
    }
  };
  ++in_flight_;
  const Place place{*this};
  Task<void> done = enqueue(std::move(job));
  co_await std::move(done);
}

}  // namespace skein::real
