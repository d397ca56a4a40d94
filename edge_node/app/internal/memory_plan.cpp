#include "edge_node/app/internal/memory_plan.h"

#include "edge_node/app/edge_node.h"
#include "edge_node/app/internal/kept_states.h"

namespace skein {

namespace {

// TLS, HTTP, pages on their way from the coordinator, a vocabulary laid out for grammars.
constexpr std::uint64_t kEverythingElse = std::uint64_t{8} << 20;
constexpr std::uint64_t kKeptPart = 16;  // of the budget

}  // namespace

std::size_t kept_states_limit(const EdgeConfig& config) {
  if (config.memory_budget == 0) return kMaxKeptStateBytes;
  return std::min<std::size_t>(kMaxKeptStateBytes, config.memory_budget / kKeptPart);
}

std::optional<WeightMemory::Options> weight_memory_of(const EdgeConfig& config,
                                                      const Pressure& now) {
  if (config.memory_budget == 0) return std::nullopt;
  return WeightMemory::Options{.budget = config.memory_budget,
                               .baseline = now.process ? now.process->without_model() : 0,
                               .extra = kEverythingElse,
                               .extra_part = kKeptPart,
                               .sessions = kMaxAnswers,
                               .budget_name = std::string(kBudgetKey)};
}

bool is_budget_too_small(const Error& error) {
  return error.code == Errc::kOutOfRoom && error.where == kBudgetKey;
}

}  // namespace skein
