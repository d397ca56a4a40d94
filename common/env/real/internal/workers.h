// Workers: a few threads that do blocking work for the loop. Owned by RealEnv. run() on the loop
// thread only; jobs run on the workers.
#pragma once

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/env/task.h"

namespace skein::real {

class Workers {
 public:
  Workers(boost::asio::io_context& loop, std::size_t threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Resumes on the loop when `job` is done. Once begun a job is not cancelled: its buffers are in
  // use. At most kMaxWaiting jobs stand in the queue; more wait outside it.
  Task<void> run(std::function<void()> job);

  // Ends the jobs under way and drops the others. Called once, with the loop at rest.
  void join();

  static constexpr std::size_t kMaxWaiting = 256;

 private:
  using Entry = std::move_only_function<void()>;
  void work();
  void push(Entry entry);
  Task<void> enqueue(std::function<void()> job);

  boost::asio::io_context& loop_;
  Signal room_;
  std::size_t in_flight_ = 0;  // loop thread only
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Entry> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace skein::real
