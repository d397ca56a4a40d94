// Scenario: a story in TOML: how many devices, what goes wrong, what people ask for. Value; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "simulations/world/fault_plan.h"

namespace skein {

inline constexpr std::uint32_t kMaxSimulatedDevices = 10'000;

struct Scenario {
  std::string name;
  // [fleet]
  std::uint32_t devices = 50;
  std::uint32_t heartbeat_ms = 2000;
  std::uint32_t memory_budget_mib = 0;  // of a device's weights and states; 0 = as it comes
  // [faults]: FaultPlan's names (simulations/world/fault_plan.h), and the crashes
  FaultPlan faults;
  double device_crashes_per_minute = 0;  // of a random device
  double coordinator_crashes_per_minute = 0;
  double down_s = 5;  // a crashed node comes back after up to twice this
  // [story]
  std::uint32_t chats = 20;  // questions asked of random devices, one after the other
  std::uint32_t chat_tokens = 12;
  std::uint32_t splits = 8;  // split answers; half have their link cut on the way
  std::uint32_t split_tokens = 16;
  std::uint32_t round_devices = 5;  // who has text to learn from; 0 = no round
  std::uint32_t log_lines = 12;     // of each learner's own text
  // [limits]
  std::uint32_t until_s = 1800;  // virtual; a story not at its end by then is a violation
};

// Errc::kUsage naming the key and the file: unknown key, wrong type, out of bounds, not TOML.
Result<Scenario> parse_scenario(std::string_view text, std::string_view file);

}  // namespace skein
