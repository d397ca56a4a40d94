// What a device's memory budget is spent on besides weights. Pure.
#pragma once

#include <optional>

#include "common/env/pressure/pressure.h"
#include "edge_node/app/config.h"
#include "edge_node/generate/model_host.h"

namespace skein {

inline constexpr std::string_view kBudgetKey = "[node] memory_budget";

// nullopt: none is set. `now` is the process before it holds a model, after it has given back what
// it can.
std::optional<WeightMemory::Options> weight_memory_of(const EdgeConfig& config,
                                                      const Pressure& now);
// Bytes for states between answers.
std::size_t kept_states_limit(const EdgeConfig& config);
bool is_budget_too_small(const Error& error);

}  // namespace skein
