// BudgetPolicy: from what the machine says to how much memory a model may take now. A pure machine
// without a clock; whoever owns it feeds it a sample about once a second and hands what it says to
// the pager. One thread.
//
// Down at once, up slowly: a budget that is too large costs the whole machine, one that is too
// small costs reads. Between "too tight" and "quiet enough to grow" lies a band where nothing
// happens, and whoever grew into trouble waits twice as long before growing again.
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "common/base/result.h"
#include "common/env/pressure/pressure.h"
#include "common/env/task.h"

namespace skein {

struct BudgetOptions {
  std::uint64_t configured_bytes = 0;
  std::uint64_t floor_bytes = 0;  // the least the model works with; at most what is configured

  double stalled_share = 0.10;  // of the time since the last sample, some task waited: shrink
  double quiet_share = 0.02;    // less than this: may grow
  double shrink_to = 0.75;      // of the budget, when tasks wait
  double growth = 1.0 / 16;     // of the configured budget, each step up

  double group_reserve = 1.0 / 32;               // of the group's limit, to be left free
  std::uint64_t machine_reserve = 64ULL << 20U;  // to be left available on the machine
  double hot_share = 0.75;                       // of what is configured, from Heat::kHot
  double low_battery_share = 0.75;               // ... and with a battery at or below
  unsigned low_battery_percent = 15;

  Duration settle = std::chrono::seconds(1);  // a shrunk budget takes this long to be felt
  Duration calm = std::chrono::seconds(10);   // quiet for this long: grow
  Duration longest_calm = std::chrono::minutes(5);
  Duration between_growth = std::chrono::seconds(2);
};

enum class BudgetReason : unsigned char {
  kConfigured,
  kKilled,  // the kernel killed for memory in our group
  kNoRoom,  // less than a reserve is free
  kStalls,
  kHeat,
  kBattery,
  kFloor,
  kCalm
};
std::string_view name_of(BudgetReason reason);  // "stalls", "no room", ...

struct ConfigureBudget {  // while running
  std::uint64_t bytes = 0;
};
struct RaiseFloor {  // another model, or more sessions: what the least is now
  std::uint64_t bytes = 0;
};
using BudgetEvent = std::variant<Pressure, ConfigureBudget, RaiseFloor>;

struct SetBudget {
  std::uint64_t bytes = 0;
  BudgetReason reason = BudgetReason::kConfigured;
  friend bool operator==(const SetBudget&, const SetBudget&) = default;
};
struct BudgetActions {
  std::optional<SetBudget> set;  // only when it differs from before
  std::optional<Error> refused;  // the event made no sense; everything stays as it was
};

class BudgetPolicy {
 public:
  // Errc::kUsage for a budget below the floor and for options out of their ranges.
  static Result<BudgetPolicy> make(BudgetOptions options);
  BudgetActions step(const BudgetEvent& event, Instant now);
  std::uint64_t budget_bytes() const { return budget_; }

 private:
  struct Tightness;
  explicit BudgetPolicy(const BudgetOptions& options);
  BudgetActions on(const Pressure& sample, Instant now);
  BudgetActions on(const ConfigureBudget& event, Instant now);
  BudgetActions on(const RaiseFloor& event, Instant now);
  Tightness measure(const Pressure& sample, Instant now) const;
  SetBudget ceiling(const Pressure& sample) const;
  void shrink_for_memory(Instant now);
  bool may_grow(const Tightness& tightness, Instant now);
  BudgetActions set(std::uint64_t bytes, BudgetReason reason);

  BudgetOptions options_;
  std::uint64_t budget_;
  Duration calm_;  // now needed; grows when growing went wrong
  std::optional<Pressure> last_;
  Instant last_at_{};
  std::optional<Instant> quiet_since_;
  std::optional<Instant> shrunk_at_;  // for memory
  std::optional<Instant> grown_at_;
};

}  // namespace skein
