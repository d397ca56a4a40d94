// TestWorld: an Env without a real world: a clock that the test moves, a disk in memory, jobs done
// in place, no network. For rooms whose tests need no other. Tests only; one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "common/env/env.h"
#include "common/env/network.h"
#include "tests/support/memory_disk.h"
#include "tests/support/planted_pressure.h"
#include "tests/support/run_task.h"

namespace skein::test {

class HandClock final : public Clock {
 public:
  Instant now() const override { return Instant(now_); }
  std::chrono::sys_seconds wall_now() const override {
    return std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000)) +
           std::chrono::duration_cast<std::chrono::seconds>(now_);
  }
  Task<void> sleep_until(Instant wake) override {
    now_ = std::max(now_, wake.time_since_epoch());
    co_return;
  }
  void advance(Duration by) { now_ += by; }

 private:
  Duration now_{0};
};

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return state_ += 0x9E3779B97F4A7C15; }
  void fill(std::span<std::byte> secret) override {
    for (std::byte& byte : secret) byte = static_cast<std::byte>(next() >> 56);
  }

 private:
  std::uint64_t state_ = 0;
};

class InPlaceCompute final : public Compute {
 public:
  Task<void> run(std::function<void()> job, Duration cost) override {
    ++jobs;
    charged += cost;
    job();
    co_return;
  }
  Parallel& parallel() override { return serial_; }
  std::uint64_t jobs = 0;
  Duration charged{0};

 private:
  SerialParallel serial_;
};

class NoNetwork final : public Network {
 public:
  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint,
                                                std::shared_ptr<const TlsOptions>) override {
    co_return fail(Errc::kUnavailable, "this test has no network");
  }
  Result<std::unique_ptr<Listener>> listen(Endpoint, std::shared_ptr<const TlsOptions>) override {
    return fail(Errc::kUnavailable, "this test has no network");
  }
};

// Keeps the names of events.
class KeepingLog final : public Log {
 public:
  void write(LogLevel, std::string_view event, LogFields) override { events.emplace_back(event); }
  std::vector<std::string> events;
};

struct TestWorld {
  boost::asio::io_context loop{1};
  HandClock clock;
  NoNetwork network;
  MemoryDisk disk;
  CountingRandom random;
  InPlaceCompute compute;
  KeepingLog log;
  PlantedPressure pressure;

  Env env() { return {loop.get_executor(), clock, network, disk, random, compute, log, pressure}; }
};

}  // namespace skein::test
