#include "coordinator/registry/rows.h"

#include <array>

namespace skein {

namespace {

// The words in order of their numbers, which start at 1.
constexpr std::array<std::string_view, 3> kDeviceStates = {"active", "cordoned", "revoked"};
constexpr std::array<std::string_view, 7> kRolloutStates = {
    "draft", "ready", "running", "paused", "finished", "aborted", "rolled_back"};
constexpr std::array<std::string_view, 8> kDeviceSteps = {"pending", "offered",    "downloading",
                                                          "staged",  "evaluating", "committed",
                                                          "failed",  "rolled_back"};

template <std::size_t N, class E>
std::string_view word(const std::array<std::string_view, N>& words, E value) {
  const auto number = static_cast<std::size_t>(value);
  return number >= 1 && number <= N ? words[number - 1] : "unknown";
}

template <class E, std::size_t N>
std::optional<E> value_of(const std::array<std::string_view, N>&, std::int64_t number) {
  if (number < 1 || number > static_cast<std::int64_t>(N)) return std::nullopt;
  return static_cast<E>(number);
}

}  // namespace

std::string_view name_of(DeviceState state) { return word(kDeviceStates, state); }
std::string_view name_of(RolloutState state) { return word(kRolloutStates, state); }
std::string_view name_of(DeviceStep step) { return word(kDeviceSteps, step); }

std::optional<DeviceState> device_state_of(std::int64_t number) {
  return value_of<DeviceState>(kDeviceStates, number);
}
std::optional<RolloutState> rollout_state_of(std::int64_t number) {
  return value_of<RolloutState>(kRolloutStates, number);
}
std::optional<DeviceStep> device_step_of(std::int64_t number) {
  return value_of<DeviceStep>(kDeviceSteps, number);
}

}  // namespace skein
