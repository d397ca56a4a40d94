#include "coordinator/federation/aggregator.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "common/base/check.h"

namespace skein {
namespace {

// Which of `updates` comes when, in device-id order.
std::vector<const DeviceUpdate*> by_device(std::span<const DeviceUpdate> updates) {
  std::vector<const DeviceUpdate*> order;
  for (const DeviceUpdate& update : updates) order.push_back(&update);
  std::ranges::sort(order, {}, [](const DeviceUpdate* update) { return update->device; });
  return order;
}

}  // namespace

Result<void> check_update(const DeviceUpdate& update, const UpdateBounds& bounds) {
  const auto refuse = [&](std::string what) {
    return fail(Errc::kRefused, "the update " + std::move(what),
                "device " + std::to_string(update.device.value()));
  };
  if (update.delta.size() != bounds.values) {
    return refuse("has " + std::to_string(update.delta.size()) + " numbers where the base has " +
                  std::to_string(bounds.values));
  }
  if (update.tokens == 0 || update.tokens > bounds.max_tokens) {
    return refuse("says it is from " + std::to_string(update.tokens) + " tokens, not 1 to " +
                  std::to_string(bounds.max_tokens));
  }
  double square = 0;
  for (const float value : update.delta) {
    if (!std::isfinite(value)) return refuse("holds a number that is not finite");
    square += static_cast<double>(value) * static_cast<double>(value);
  }
  const double norm = std::sqrt(square);
  if (norm > bounds.max_norm) {
    return refuse("is " + std::to_string(norm) + " long, over the bound of " +
                  std::to_string(bounds.max_norm));
  }
  return {};
}

std::vector<float> aggregate(std::span<const DeviceUpdate> updates) {
  CHECK(!updates.empty());
  std::vector<double> sums(updates.front().delta.size());
  double tokens = 0;
  const DeviceUpdate* before = nullptr;
  for (const DeviceUpdate* update : by_device(updates)) {
    CHECK(update->delta.size() == sums.size());
    CHECK(before == nullptr || before->device < update->device);
    before = update;
    const auto weight = static_cast<double>(update->tokens);
    tokens += weight;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] += weight * static_cast<double>(update->delta[i]);
    }
  }
  std::vector<float> mean(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) mean[i] = static_cast<float>(sums[i] / tokens);
  return mean;
}

}  // namespace skein
