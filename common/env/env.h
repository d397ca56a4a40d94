// Env: the world as an argument. Owned by main (real) or by the simulator's World; everything that
// is not a pure function of its inputs comes through it. All of it on the Env's one loop thread,
// except where a comment says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/env/task.h"
#include "kernels/ops/parallel.h"

namespace skein {

class Clock {  // time stands still while a handler runs
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual std::chrono::sys_seconds wall_now()
      const = 0;                                     // for certificates, logs and rows people read
  virtual Task<void> sleep_until(Instant wake) = 0;  // cancellable
  Task<void> sleep_for(Duration duration) { return sleep_until(now() + duration); }
};

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;                    // uniform 64 bits
  virtual void fill(std::span<std::byte> secret) = 0;  // for keys and tokens
  std::uint64_t below(std::uint64_t bound);            // uniform in [0, bound), bound > 0
  double unit();                                       // uniform in [0, 1)
  Duration jitter(Duration base, double share);        // base * (1 +- share), uniform
  // A rare branch worth taking in simulation only; constant false in production.
  virtual bool sometimes(std::string_view /*site*/) { return false; }
};

class Compute {
 public:
  virtual ~Compute() = default;
  // Runs `job` off the loop and resumes when it is done; not cancellable once begun. `job` may use
  // parallel(). `cost` is what the simulator charges to virtual time. Must not throw.
  virtual Task<void> run(std::function<void()> job, Duration cost) = 0;
  virtual Parallel& parallel() = 0;  // threads for kernels; one job uses it at a time
};

class Network;
class Disk;
class PressureGauge;  // pressure/pressure.h

struct Env {
  Executor executor;
  Clock& clock;
  Network& network;
  Disk& disk;
  Random& random;
  Compute& compute;
  Log& log;
  PressureGauge& pressure;
};

}  // namespace skein
