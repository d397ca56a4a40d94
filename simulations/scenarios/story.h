// Story: what people do with a fleet in one scenario, and what must come of it: enrol, roll out,
// chat, update, split, learn. One run of a World; the verdict is a value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "simulations/scenarios/scenario.h"

namespace skein {

struct StoryEnd {
  std::uint64_t seed = 0;
  double virtual_seconds = 0;
  std::uint64_t events = 0;
  std::string trace_hash;
  std::vector<std::string> violations;
  std::map<std::string, double> metrics;
  std::vector<std::string> last_events;  // of the trace, when something is wrong
};

// Deterministic in scenario and seed. `until_s` > 0 replaces the scenario's own limit.
StoryEnd tell(const Scenario& scenario, std::uint64_t seed, double until_s);

}  // namespace skein
