// BudgetWatch: what presses the machine, told to the memory for weights about once a second, and
// when the kernel says so. Owned by the node; loop thread only.
#pragma once

#include "common/env/pressure/budget_policy.h"
#include "edge_node/generate/model_host.h"

namespace skein {

inline constexpr Duration kPressureEvery = std::chrono::seconds(1);
inline constexpr Duration kPressureSoonest = std::chrono::milliseconds(100);  // after the last look

class BudgetWatch {
 public:
  // Of a host that has a budget.
  BudgetWatch(Env env, ModelHost& host);
  Task<void> run();  // until cancelled

  std::uint64_t shrunk() const { return shrunk_; }  // times
  std::uint64_t grown() const { return grown_; }

 private:
  Result<void> look_at_model();
  Task<void> meet(SetBudget wanted);
  Task<void> rest();

  Env env_;
  ModelHost& host_;
  WeightMemory& memory_;
  std::optional<BudgetPolicy> policy_;  // once there is a model
  std::vector<Digest> models_;          // that the floor is of ...
  std::uint64_t lent_ = 0;              // ... beside so much for others
  std::uint64_t shrunk_ = 0, grown_ = 0;
  Signal told_;
  bool is_told_ = false;  // since the last look
};

}  // namespace skein
