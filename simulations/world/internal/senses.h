// What a simulated node has besides disk and network: clock, random, compute, log.
#pragma once

#include <array>
#include <memory>

#include "common/env/env.h"
#include "simulations/world/internal/core.h"

namespace skein::sim {

class SimClock final : public Clock {
 public:
  explicit SimClock(Core& core) : core_(core) {}
  Instant now() const override { return core_.now(); }
  std::chrono::sys_seconds wall_now() const override;
  Task<void> sleep_until(Instant wake) override;

 private:
  Core& core_;
};

// The time of a node's thread that computes. A job runs within one instant of the world; what it
// waits for meanwhile moves this clock ahead of the world's, and the job takes that much longer.
class JobClock {
 public:
  explicit JobClock(Core& core) : core_(core) {}
  Instant now() const { return std::max(core_.now(), at_); }
  void advance_to(Instant at) { at_ = std::max(at_, at); }

 private:
  Core& core_;
  Instant at_{};
};

// xoshiro256**, seeded from the world's seed and a name, so that a new node reshuffles nobody.
class SimRandom final : public Random {
 public:
  SimRandom(Core& core, std::string_view name);
  std::uint64_t next() override;
  void fill(std::span<std::byte> secret) override;
  bool sometimes(std::string_view site) override;

 private:
  Core& core_;
  std::array<std::uint64_t, 4> state_{};
};

// The job runs at once; its cost passes before the caller resumes. One job at a time per node.
class SimCompute final : public Compute {
 public:
  SimCompute(Core& core, std::string_view name, JobClock& clock)
      : core_(core), random_(core, name), clock_(clock) {}
  Task<void> run(std::function<void()> job, Duration cost) override;
  Parallel& parallel() override { return serial_; }

 private:
  Core& core_;
  SimRandom random_;
  JobClock& clock_;
  SerialParallel serial_;
  Instant busy_until_{};
};

class SimLog final : public Log {
 public:
  SimLog(Core& core, std::shared_ptr<const Epoch> epoch) : core_(core), epoch_(std::move(epoch)) {}
  void write(LogLevel level, std::string_view event, LogFields fields) override;

 private:
  Core& core_;
  std::shared_ptr<const Epoch> epoch_;
};

}  // namespace skein::sim
