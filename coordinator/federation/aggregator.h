// Aggregator: devices' updates to one update: FedAvg weighted by tokens, with bounds on what any
// one device can do. Pure; any thread. Summed in double precision in device-id order, so the same
// updates give the same bits in whatever order they arrived.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

struct UpdateBounds {
  std::size_t values = 0;  // floats in an update: the base's shape
  double max_norm = 0;     // Euclidean
  std::uint64_t max_tokens = 0;
};

struct DeviceUpdate {
  DeviceId device{};
  std::uint64_t tokens = 0;
  std::vector<float> delta;
};

// Errc::kRefused and the reason: wrong shape, not finite, too long, no or too many tokens.
Result<void> check_update(const DeviceUpdate& update, const UpdateBounds& bounds);

// sum(tokens * delta) / sum(tokens). The updates are checked, one per device, at least one.
std::vector<float> aggregate(std::span<const DeviceUpdate> updates);

}  // namespace skein
