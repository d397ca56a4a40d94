#include "common/env/pressure/budget_policy.h"

#include <algorithm>
#include <array>

namespace skein {

namespace {

std::uint64_t share_of(std::uint64_t bytes, double share) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * share);
}

bool is_share(double value) { return value > 0 && value <= 1; }

Result<void> check_budget(std::uint64_t budget, std::uint64_t floor) {
  if (budget >= floor && budget > 0) return {};
  return fail(Errc::kUsage, "a memory budget of " + std::to_string(budget) + " bytes is too small",
              "memory budget",
              "give at least " + std::to_string(std::max<std::uint64_t>(floor, 1)));
}

// The share of the time between two samples in which tasks waited. A counter that went back (the
// group changed) or no time between them: what the kernel's own average says.
double stalled_share(const std::optional<StallTimes>& before, const std::optional<StallTimes>& now,
                     Duration between) {
  if (!now) return 0;
  if (!before || between <= Duration{0} || now->some < before->some) return now->some_share;
  const Duration stalled = now->some - before->some;
  return std::min(1.0, static_cast<double>(stalled.count()) / static_cast<double>(between.count()));
}

}  // namespace

// What one sample says about memory.
struct BudgetPolicy::Tightness {
  double stalled = 0;               // share of the time
  std::uint64_t missing = 0;        // bytes to give back until the reserves are free
  std::uint64_t spare = INT64_MAX;  // bytes beyond twice the reserves
  bool killed = false;
  bool hit_limit = false;
};

std::string_view name_of(BudgetReason reason) {
  constexpr std::array<std::string_view, 8> kNames = {"configured", "killed",  "no room", "stalls",
                                                      "heat",       "battery", "floor",   "calm"};
  return kNames[static_cast<std::size_t>(reason)];
}

Result<BudgetPolicy> BudgetPolicy::make(BudgetOptions options) {
  TRY_VOID(check_budget(options.configured_bytes, options.floor_bytes));
  const bool shares = is_share(options.shrink_to) && options.shrink_to < 1 &&
                      is_share(options.growth) && is_share(options.hot_share) &&
                      is_share(options.low_battery_share) && options.group_reserve >= 0 &&
                      options.group_reserve < 0.5;
  const bool band = options.quiet_share > 0 && options.quiet_share < options.stalled_share &&
                    options.stalled_share <= 1;
  const bool times = options.settle > Duration{0} && options.calm > Duration{0} &&
                     options.longest_calm >= options.calm && options.between_growth > Duration{0};
  if (!shares || !band || !times) {
    return fail(Errc::kUsage, "shares or times of the budget policy are out of range",
                "memory budget", "use the defaults");
  }
  return BudgetPolicy(options);
}

BudgetPolicy::BudgetPolicy(const BudgetOptions& options)
    : options_(options), budget_(options.configured_bytes), calm_(options.calm) {}

BudgetActions BudgetPolicy::step(const BudgetEvent& event, Instant now) {
  return std::visit([&](const auto& each) { return on(each, now); }, event);
}

BudgetActions BudgetPolicy::set(std::uint64_t bytes, BudgetReason reason) {
  bytes = std::max(bytes, options_.floor_bytes);
  if (bytes == budget_) return {};
  budget_ = bytes;
  return {.set = SetBudget{bytes, reason}, .refused = {}};
}

BudgetActions BudgetPolicy::on(const ConfigureBudget& event, Instant /*now*/) {
  if (auto fine = check_budget(event.bytes, options_.floor_bytes); !fine) {
    return {.set = {}, .refused = std::move(fine.error())};
  }
  // A budget under pressure stays where it is; one that had all it was given has all again.
  const bool had_all = budget_ == options_.configured_bytes;
  options_.configured_bytes = event.bytes;
  return set(had_all ? event.bytes : std::min(budget_, event.bytes), BudgetReason::kConfigured);
}

BudgetActions BudgetPolicy::on(const RaiseFloor& event, Instant /*now*/) {
  if (auto fine = check_budget(options_.configured_bytes, event.bytes); !fine) {
    return {.set = {}, .refused = std::move(fine.error())};
  }
  options_.floor_bytes = event.bytes;
  return set(budget_, BudgetReason::kFloor);
}

BudgetPolicy::Tightness BudgetPolicy::measure(const Pressure& sample, Instant now) const {
  Tightness out;
  const Pressure before = last_.value_or(Pressure{});
  const Duration between = last_ ? now - last_at_ : Duration{0};
  out.stalled = std::max(stalled_share(before.machine_stalls, sample.machine_stalls, between),
                         stalled_share(before.group_stalls, sample.group_stalls, between));
  const auto keep_free = [&](std::uint64_t free, std::uint64_t reserve) {
    out.missing = std::max(out.missing, reserve > free ? reserve - free : 0);
    out.spare = std::min(out.spare, free / 2 > reserve ? free - 2 * reserve : 0);
  };
  if (sample.available_bytes) keep_free(*sample.available_bytes, options_.machine_reserve);
  if (sample.group) {
    keep_free(sample.group->room_bytes(),
              share_of(sample.group->limit_bytes, options_.group_reserve));
    // Counters of another group, or of one with another limit, say nothing about this one.
    if (before.group && before.group->limit_bytes == sample.group->limit_bytes) {
      out.killed = sample.group->oom_kills > before.group->oom_kills;
      out.hit_limit = sample.group->limit_hits > before.group->limit_hits;
    }
  }
  return out;
}

SetBudget BudgetPolicy::ceiling(const Pressure& sample) const {
  SetBudget most{options_.configured_bytes, BudgetReason::kConfigured};
  const auto lower = [&](double share, BudgetReason reason) {
    const std::uint64_t bytes =
        std::max(options_.floor_bytes, share_of(options_.configured_bytes, share));
    if (bytes < most.bytes) most = {bytes, reason};
  };
  if (sample.heat == Heat::kCritical) lower(0, BudgetReason::kHeat);
  if (sample.heat >= Heat::kHot) lower(options_.hot_share, BudgetReason::kHeat);
  if (sample.on_battery && sample.battery_percent.value_or(100) <= options_.low_battery_percent) {
    lower(options_.low_battery_share, BudgetReason::kBattery);
  }
  return most;
}

void BudgetPolicy::shrink_for_memory(Instant now) {
  const bool grew_into_it = grown_at_ && (!shrunk_at_ || *grown_at_ > *shrunk_at_);
  if (grew_into_it) calm_ = std::min(2 * calm_, options_.longest_calm);
  shrunk_at_ = now;
}

bool BudgetPolicy::may_grow(const Tightness& tightness, Instant now) {
  const bool quiet =
      tightness.stalled < options_.quiet_share && tightness.spare > 0 && !tightness.hit_limit;
  // While nobody looked (the device slept) it was not quiet.
  const bool looked = last_ && now >= last_at_ && now - last_at_ <= options_.calm;
  if (!quiet) {
    quiet_since_.reset();
    return false;
  }
  if (!quiet_since_ || !looked) quiet_since_ = now;
  const bool waited = now - *quiet_since_ >= calm_;
  return waited && (!grown_at_ || now - *grown_at_ >= options_.between_growth);
}

BudgetActions BudgetPolicy::on(const Pressure& sample, Instant now) {
  const Tightness tightness = measure(sample, now);
  const SetBudget most = ceiling(sample);
  const bool grows = may_grow(tightness, now);
  last_ = sample;
  last_at_ = now;

  SetBudget least = budget_ > most.bytes ? most : SetBudget{budget_, BudgetReason::kConfigured};
  const auto lower = [&](std::uint64_t bytes, BudgetReason reason) {
    if (bytes < least.bytes) least = {bytes, reason};
  };
  if (tightness.killed) lower(0, BudgetReason::kKilled);
  const bool settled = !shrunk_at_ || now < *shrunk_at_ || now - *shrunk_at_ >= options_.settle;
  if (settled && tightness.missing > 0) {
    lower(budget_ - std::min(budget_, tightness.missing), BudgetReason::kNoRoom);
  }
  if (settled && tightness.stalled >= options_.stalled_share) {
    lower(share_of(budget_, options_.shrink_to), BudgetReason::kStalls);
  }
  if (least.bytes < budget_) {
    quiet_since_.reset();
    if (least.bytes < most.bytes) shrink_for_memory(now);
    return set(least.bytes, least.reason);
  }
  if (!grows) return {};
  if (budget_ >= most.bytes) {
    // All there is to have, and quiet for long: what went wrong once is forgotten.
    if (now - *quiet_since_ >= options_.longest_calm) {
      calm_ = options_.calm;
      grown_at_.reset();
    }
    return {};
  }
  const std::uint64_t step =
      std::max<std::uint64_t>(1, share_of(options_.configured_bytes, options_.growth));
  grown_at_ = now;
  return set(budget_ + std::min({step, tightness.spare, most.bytes - budget_}),
             BudgetReason::kCalm);
}

}  // namespace skein
