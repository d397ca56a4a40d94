// The small doors of RealEnv: clock, random, compute. Loop thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>

#include "common/env/env.h"
#include "common/env/real/internal/thread_pool.h"
#include "common/env/real/internal/workers.h"
#include "common/env/throttle/throttled_disk.h"

namespace skein::real {

class RealClock final : public Clock {
 public:
  explicit RealClock(boost::asio::io_context& loop)
      : loop_(loop), began_(std::chrono::steady_clock::now()) {}
  Instant now() const override;
  std::chrono::sys_seconds wall_now() const override;
  Task<void> sleep_until(Instant wake) override;

 private:
  boost::asio::io_context& loop_;
  std::chrono::steady_clock::time_point began_;
};

// Sleeps to about a microsecond: what a throttled read waits for is a few dozen of them.
class RealBlockingClock final : public BlockingClock {
 public:
  explicit RealBlockingClock(const RealClock& clock) : clock_(clock) {}
  Instant now() const override { return clock_.now(); }
  void sleep_until(Instant wake) override;

 private:
  const RealClock& clock_;
};

class RealRandom final : public Random {
 public:
  std::uint64_t next() override;
  void fill(std::span<std::byte> secret) override;

 private:
  // Drawn from the system in blocks: next() is called per token by the sampler.
  std::array<std::uint64_t, 64> block_{};
  std::size_t used_ = block_.size();
};

class RealCompute final : public Compute {
 public:
  RealCompute(boost::asio::io_context& loop, std::size_t threads)
      : pool_(threads), worker_(loop, 1) {}
  Task<void> run(std::function<void()> job, Duration /*cost*/) override {
    return worker_.run(std::move(job));
  }
  Parallel& parallel() override { return pool_; }
  void join() { worker_.join(); }

 private:
  ThreadPool pool_;
  Workers worker_;
};

}  // namespace skein::real
