// StorageModel: when a device of a given speed would have finished a read. Value without a clock;
// one thread.
//
// Requests overlap as they do on eMMC, UFS and NVMe: up to `depth` of them go through their latency
// side by side, and the bytes then share one bus in the order of the requests. So one at a time
// costs latency + bytes / bandwidth each; many at once cost bytes / bandwidth. The bus is a token
// bucket without a burst: an idle device saves nothing up.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "common/env/task.h"

namespace skein {

struct StorageSpeed {
  double megabytes_per_second = 0;  // 1e6 bytes; 0 = as fast as the bytes come
  std::chrono::microseconds latency{0};
  std::uint32_t depth = 32;  // requests that the device works on at once, at least 1
  bool limits() const { return megabytes_per_second > 0 || latency.count() > 0; }
};

class StorageModel {
 public:
  explicit StorageModel(StorageSpeed speed) : speed_(speed) {}
  // A read of `bytes` that is begun now, after those asked about before; `extra` is a delay of
  // this one alone. When its last byte is there.
  Instant finish(Instant now, std::uint64_t bytes, Duration extra = Duration{0});

 private:
  StorageSpeed speed_;
  Instant bus_free_{};
  std::priority_queue<Instant, std::vector<Instant>, std::greater<>> at_device_;  // their ends
};

}  // namespace skein
