#include "common/env/throttle/storage_model.h"

#include <algorithm>
#include <cmath>

namespace skein {

Instant StorageModel::finish(Instant now, std::uint64_t bytes, Duration extra) {
  Instant begin = now;
  while (!at_device_.empty() && at_device_.top() <= now) at_device_.pop();
  while (at_device_.size() >= std::max<std::uint32_t>(speed_.depth, 1)) {
    begin = std::max(begin, at_device_.top());
    at_device_.pop();
  }
  const Instant ready = begin + speed_.latency + extra;
  Duration transfer{0};
  if (speed_.megabytes_per_second > 0) {
    const double nanoseconds = static_cast<double>(bytes) * 1e3 / speed_.megabytes_per_second;
    transfer = Duration(static_cast<Duration::rep>(std::llround(nanoseconds)));
  }
  // A request that is late by itself does not hold the bus up for the others.
  const Instant on_bus = std::max(ready - extra, bus_free_);
  bus_free_ = on_bus + transfer;
  const Instant end = std::max(bus_free_, ready + transfer);
  at_device_.push(end);
  return end;
}

}  // namespace skein
