// What `--set prune.key=value` and `--set lowrank.key=value` may say. Private to the room; pure,
// any thread.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "coordinator/compress/structure_plan.h"

namespace skein {

// What was set; nothing where it was not.
struct StructureSettings {
  std::optional<PrunePlan::Score> score;       // prune.score: lorap, newton or frequency
  std::optional<double> prune_ratio;           // prune.ratio, above 0, at most 0.9
  std::optional<bool> compensate;              // prune.compensate: on or off
  std::optional<double> guard;                 // prune.guard, 0 to 0.9
  std::optional<double> least;                 // prune.least, 0 to 0.9
  std::optional<LowRankPlan::Method> method;   // lowrank.method: svd, awsvd or whitened
  std::optional<std::string> targets;          // lowrank.targets: of r,k,v,g,o
  std::optional<std::uint32_t> factor;         // lowrank.factor, 3 to 64
  std::optional<double> rank_ratio;            // lowrank.ratio, above 0, at most 0.9
  std::optional<std::uint32_t> residual_rank;  // lowrank.compensate, 1 to 256

  bool prunes() const { return score || prune_ratio || compensate || guard || least; }
  bool factors() const { return method || targets || factor || rank_ratio || residual_rank; }
  PrunePlan prune_plan() const;
  LowRankPlan low_rank_plan() const;
  // Errc::kUsage: two that contradict each other.
  Result<void> check() const;
};

inline constexpr std::string_view kStructureSettings =
    "prune.score, prune.ratio, prune.compensate, prune.guard, prune.least, lowrank.method, "
    "lowrank.targets, lowrank.factor, lowrank.ratio, lowrank.compensate";

bool is_structure_setting(std::string_view name);
// Errc::kUsage names a wrong value. `name` is one of them.
Result<void> set_structure(StructureSettings& settings, std::string_view name,
                           std::string_view value);

std::string_view name_of(PrunePlan::Score score);
std::string_view name_of(LowRankPlan::Method method);

}  // namespace skein
