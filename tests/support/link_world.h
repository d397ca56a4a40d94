// LinkWorld: an Env for one test: virtual time that jumps when nothing else can happen, streams in
// memory, a disk in memory, a seeded random. Waits of minutes cost nothing and always end alike.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <map>
#include <random>
#include <vector>

#include "common/env/env.h"
#include "tests/support/memory_disk.h"
#include "tests/support/memory_network.h"
#include "tests/support/planted_pressure.h"

namespace skein::test {

namespace durations {  // 5s, 250ms
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;
}  // namespace durations

class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(Executor executor) : executor_(std::move(executor)) {}
  Instant now() const override { return now_; }
  std::chrono::sys_seconds wall_now() const override {
    return std::chrono::sys_seconds(std::chrono::seconds(1'760'000'000)) +
           std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch());
  }
  Task<void> sleep_until(Instant wake) override {
    if (wake <= now_) co_return;
    const Sleeper sleeper(*this, wake);
    co_await sleeper.signal->wait();
  }
  // To the earliest sleeper; false when there is none.
  bool jump() {
    if (sleepers_.empty()) return false;
    const auto first = sleepers_.begin();
    now_ = std::max(now_, first->first);
    first->second->notify_all();
    return true;
  }

 private:
  using Sleepers = std::multimap<Instant, Signal*>;
  struct Sleeper {
    Sleeper(VirtualClock& owner, Instant wake)
        : clock(owner), signal(std::make_unique<Signal>(owner.executor_)) {
      at = clock.sleepers_.emplace(wake, signal.get());
    }
    ~Sleeper() { clock.sleepers_.erase(at); }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    VirtualClock& clock;
    std::unique_ptr<Signal> signal;
    Sleepers::iterator at;
  };
  Executor executor_;
  Instant now_{};
  Sleepers sleepers_;
};

class SeededRandom final : public Random {
 public:
  std::uint64_t next() override { return bits_(); }
  void fill(std::span<std::byte> secret) override {
    for (std::byte& byte : secret) byte = static_cast<std::byte>(bits_());
  }

 private:
  std::mt19937_64 bits_{1};
};

class InlineCompute final : public Compute {
 public:
  Task<void> run(std::function<void()> job, Duration) override {
    job();
    co_return;
  }
  Parallel& parallel() override { return serial_; }

 private:
  SerialParallel serial_;
};

class LinkWorld {
 public:
  ~LinkWorld() {  // what still runs unwinds while the clock is there
    tasks_.cancel();
    settle();
  }
  Env env() {
    return Env{context_.get_executor(), clock, network, disk, random_, compute_, log_, pressure};
  }

  void spawn(Task<void> task) { tasks_.spawn(std::move(task)); }
  // Runs everything until `task` has ended. A world where nothing can happen any more is a failure.
  void run(Task<void> task) {
    bool ended = false;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr error) {
      ended = true;
      thrown = error;
    });
    while (!ended) {
      context_.restart();
      if (context_.poll() > 0 || ended) continue;
      if (!clock.jump()) {
        ADD_FAILURE() << "nothing can happen any more";
        return;
      }
    }
    settle();
    if (thrown) std::rethrow_exception(thrown);
  }
  // What can happen now happens, without time passing.
  void settle() {
    context_.restart();
    while (context_.poll() > 0) context_.restart();
  }

 private:
  boost::asio::io_context context_{1};

 public:
  VirtualClock clock{context_.get_executor()};
  MemoryNetwork network{context_.get_executor()};
  MemoryDisk disk;
  PlantedPressure pressure;

 private:
  SeededRandom random_;
  InlineCompute compute_;
  NullLog log_;
  TaskGroup tasks_{context_.get_executor()};
};

}  // namespace skein::test
