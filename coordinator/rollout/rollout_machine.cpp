#include "coordinator/rollout/rollout_machine.h"

#include <algorithm>
#include <iterator>

#include "common/base/check.h"

namespace skein {

namespace {

using Changes = RolloutMachine::Changes;

// Where each verb may be used and where it leads. A verb used again where it led changes nothing.
struct Transition {
  RolloutVerb verb;
  RolloutState from;
  RolloutState to;
};
constexpr Transition kTransitions[] = {
    {RolloutVerb::kStart, RolloutState::kReady, RolloutState::kRunning},
    {RolloutVerb::kStart, RolloutState::kRunning, RolloutState::kRunning},
    {RolloutVerb::kPause, RolloutState::kRunning, RolloutState::kPaused},
    {RolloutVerb::kPause, RolloutState::kPaused, RolloutState::kPaused},
    {RolloutVerb::kResume, RolloutState::kPaused, RolloutState::kRunning},
    {RolloutVerb::kResume, RolloutState::kRunning, RolloutState::kRunning},
    {RolloutVerb::kAbort, RolloutState::kDraft, RolloutState::kAborted},
    {RolloutVerb::kAbort, RolloutState::kReady, RolloutState::kAborted},
    {RolloutVerb::kAbort, RolloutState::kRunning, RolloutState::kAborted},
    {RolloutVerb::kAbort, RolloutState::kPaused, RolloutState::kAborted},
    {RolloutVerb::kAbort, RolloutState::kAborted, RolloutState::kAborted},
    {RolloutVerb::kRetry, RolloutState::kRunning, RolloutState::kRunning},
    {RolloutVerb::kRetry, RolloutState::kPaused, RolloutState::kPaused},
    {RolloutVerb::kRetry, RolloutState::kFinished, RolloutState::kRunning},
    {RolloutVerb::kRollBack, RolloutState::kRunning, RolloutState::kRolledBack},
    {RolloutVerb::kRollBack, RolloutState::kPaused, RolloutState::kRolledBack},
    {RolloutVerb::kRollBack, RolloutState::kFinished, RolloutState::kRolledBack},
    {RolloutVerb::kRollBack, RolloutState::kRolledBack, RolloutState::kRolledBack},
};

constexpr std::pair<RolloutVerb, std::string_view> kVerbs[] = {
    {RolloutVerb::kStart, "start"},   {RolloutVerb::kPause, "pause"},
    {RolloutVerb::kResume, "resume"}, {RolloutVerb::kAbort, "abort"},
    {RolloutVerb::kRetry, "retry"},   {RolloutVerb::kRollBack, "rollback"},
};

std::size_t index_of(DeviceStep step) { return static_cast<std::size_t>(step); }

constexpr std::size_t kMaxReason = 512;  // bytes of a device's reason that are kept

}  // namespace

std::optional<RolloutVerb> parse_rollout_verb(std::string_view word) {
  for (const auto& [verb, name] : kVerbs) {
    if (name == word) return verb;
  }
  return std::nullopt;
}

std::string_view name_of(RolloutVerb verb) {
  for (const auto& [known, name] : kVerbs) {
    if (known == verb) return name;
  }
  return "unknown";
}

bool is_final(DeviceStep step) {
  return step == DeviceStep::kCommitted || step == DeviceStep::kFailed ||
         step == DeviceStep::kRolledBack;
}

RolloutMachine::RolloutMachine(RolloutRow row) : row_(std::move(row)) {}

RolloutMachine::RolloutMachine(RolloutRow row, std::vector<RolloutDeviceRow> devices)
    : row_(std::move(row)) {
  Changes all;
  all.devices = std::move(devices);
  adopt(all);
}

bool RolloutMachine::active() const {
  return row_.state == RolloutState::kRunning || row_.state == RolloutState::kPaused;
}

bool RolloutMachine::admits() const { return active() || row_.state == RolloutState::kFinished; }

std::optional<Digest> RolloutMachine::offer_for(DeviceId device) const {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return std::nullopt;
  const RolloutDeviceRow& row = found->second;
  switch (row_.state) {
    case RolloutState::kRunning:
    case RolloutState::kFinished:  // a late joiner
      if (is_final(row.step) || row.step == DeviceStep::kPending) return std::nullopt;
      return row_.artifact;
    case RolloutState::kRolledBack:
      if (row.step == DeviceStep::kRolledBack || row.step == DeviceStep::kFailed)
        return std::nullopt;
      return row.baseline;
    default:
      return std::nullopt;
  }
}

Result<Changes> RolloutMachine::decide(const RolloutEvent& event, std::int64_t now) const {
  if (std::holds_alternative<ArtifactReady>(event)) {
    Changes changes;
    if (row_.state == RolloutState::kDraft) changes.rollout = moved_to(RolloutState::kReady, now);
    return changes;
  }
  if (const auto* operated = std::get_if<Operated>(&event)) return operate(*operated, now);
  if (const auto* join = std::get_if<DeviceJoined>(&event)) {
    if (!admits()) {
      return fail(Errc::kConflict,
                  "a device cannot join a rollout that is " + std::string(name_of(row_.state)));
    }
    return joined(*join, now);
  }
  const auto device_of = [](const auto& which) {
    if constexpr (requires { which.device; }) return which.device;
    return DeviceId{};
  };
  if (!has(std::visit(device_of, event)))
    return fail(Errc::kNotFound, "the device is not in this rollout");
  if (const auto* gone = std::get_if<DeviceLeft>(&event)) return left(*gone, now);
  if (const auto* heartbeat = std::get_if<DeviceHeard>(&event)) return heard(*heartbeat, now);
  return reported(std::get<DeviceReported>(event), now);
}

void RolloutMachine::adopt(const Changes& changes) {
  if (changes.rollout) row_ = *changes.rollout;
  for (const RolloutDeviceRow& device : changes.devices) {
    const auto [place, fresh] = devices_.try_emplace(device.device, device);
    if (!fresh) {
      counts_[index_of(place->second.step)] -= 1;
      place->second = device;
    }
    counts_[index_of(device.step)] += 1;
  }
}

RolloutRow RolloutMachine::moved_to(RolloutState state, std::int64_t now) const {
  RolloutRow row = row_;
  row.state = state;
  row.changed = now;
  if (state == RolloutState::kRunning && row.started == 0) row.started = now;
  return row;
}

Result<Changes> RolloutMachine::operate(const Operated& event, std::int64_t now) const {
  const RolloutVerb verb = event.verb;
  const auto* found = std::ranges::find_if(kTransitions, [&](const Transition& transition) {
    return transition.verb == verb && transition.from == row_.state;
  });
  if (found == std::end(kTransitions)) {
    return fail(Errc::kConflict, "rollout " + std::to_string(row_.id.value()) + " is " +
                                     std::string(name_of(row_.state)) + ": it cannot " +
                                     std::string(name_of(verb)));
  }
  Changes changes;
  if (found->to != row_.state) changes.rollout = moved_to(found->to, now);
  for (const DeviceJoined& join : event.fleet) {
    if (verb != RolloutVerb::kStart) break;
    std::ranges::move(joined(join, now).devices, std::back_inserter(changes.devices));
  }
  if (verb == RolloutVerb::kRetry) {
    retry_failed(changes, now);
    if (changes.devices.empty()) changes.rollout.reset();  // nothing had failed
  }
  if (verb == RolloutVerb::kRollBack && changes.rollout) roll_back(changes, now);
  finish_if_done(changes, now);
  return changes;
}

void RolloutMachine::retry_failed(Changes& changes, std::int64_t now) const {
  for (const auto& [id, device] : devices_) {
    if (device.step != DeviceStep::kFailed) continue;
    RolloutDeviceRow again = device;
    again.step = DeviceStep::kPending;
    again.reason.clear();
    again.attempt += 1;
    again.changed = now;
    changes.devices.push_back(std::move(again));
  }
}

// Who has not begun is done at once; who has is led back by offers of its baseline, until it says
// that it runs it.
void RolloutMachine::roll_back(Changes& changes, std::int64_t now) const {
  for (const auto& [id, device] : devices_) {
    if (device.step == DeviceStep::kFailed || device.step == DeviceStep::kRolledBack) continue;
    RolloutDeviceRow next = device;
    next.changed = now;
    if (device.step == DeviceStep::kPending || device.baseline == row_.artifact) {
      next.step = DeviceStep::kRolledBack;
    } else if (!device.baseline && device.step == DeviceStep::kCommitted) {
      next.step = DeviceStep::kFailed;
      next.reason = "no-baseline: nothing ran here before";
    } else if (!device.baseline) {
      next.step = DeviceStep::kRolledBack;
    } else {
      continue;  // the offer does the rest
    }
    changes.devices.push_back(std::move(next));
  }
}

void RolloutMachine::finish_if_done(Changes& changes, std::int64_t now) const {
  const RolloutState state = changes.rollout ? changes.rollout->state : row_.state;
  if (state != RolloutState::kRunning) return;
  // Final devices after the changes, counted without walking all devices at every heartbeat.
  std::size_t total = devices_.size();
  std::size_t done = counts_[index_of(DeviceStep::kCommitted)] +
                     counts_[index_of(DeviceStep::kFailed)] +
                     counts_[index_of(DeviceStep::kRolledBack)];
  for (const RolloutDeviceRow& device : changes.devices) {
    const auto before = devices_.find(device.device);
    if (before == devices_.end()) total += 1;
    if (before != devices_.end() && is_final(before->second.step)) done -= 1;
    if (is_final(device.step)) done += 1;
  }
  if (total > 0 && done == total) {
    changes.rollout = moved_to(RolloutState::kFinished, now);
    if (changes.rollout->started == 0) changes.rollout->started = now;
  }
}

Changes RolloutMachine::joined(const DeviceJoined& event, std::int64_t now) const {
  Changes changes;
  RolloutDeviceRow device;
  if (const auto found = devices_.find(event.device); found != devices_.end()) {
    // Back after it had left: it starts again.
    device = found->second;
    if (device.step != DeviceStep::kFailed || !device.reason.starts_with("cordoned")) return {};
    device.step = DeviceStep::kPending;
    device.reason.clear();
    device.attempt += 1;
  } else {
    device.device = event.device;
    device.baseline = event.active;
  }
  device.changed = now;
  changes.devices.push_back(std::move(device));
  return changes;
}

Changes RolloutMachine::left(const DeviceLeft& event, std::int64_t now) const {
  Changes changes;
  RolloutDeviceRow device = devices_.at(event.device);
  if (is_final(device.step)) return changes;
  device.step = DeviceStep::kFailed;
  device.reason = event.reason.substr(0, kMaxReason);
  device.changed = now;
  changes.devices.push_back(std::move(device));
  finish_if_done(changes, now);
  return changes;
}

Changes RolloutMachine::heard(const DeviceHeard& event, std::int64_t now) const {
  Changes changes;
  const RolloutDeviceRow& before = devices_.at(event.device);
  RolloutDeviceRow device = before;
  const bool offering =
      row_.state == RolloutState::kRunning || row_.state == RolloutState::kFinished;
  const bool untouched = device.step == DeviceStep::kPending && device.attempt == 1;
  if (untouched && !device.baseline) device.baseline = event.active;
  if (row_.state == RolloutState::kRolledBack) {
    const bool home = device.baseline && event.active == device.baseline;
    if (home && device.step != DeviceStep::kFailed) device.step = DeviceStep::kRolledBack;
    // It had taken the artifact after all, while the roll-back was on its way: lead it back.
    if (!home && device.step == DeviceStep::kRolledBack && event.active == row_.artifact &&
        device.baseline) {
      device.step = DeviceStep::kCommitted;
    }
  } else if (!is_final(device.step) && event.active == row_.artifact) {
    device.step = DeviceStep::kCommitted;
  } else if (offering && device.step == DeviceStep::kPending) {
    device.step = DeviceStep::kOffered;
  }
  if (device == before) return changes;
  device.changed = now;
  changes.devices.push_back(std::move(device));
  finish_if_done(changes, now);
  return changes;
}

Changes RolloutMachine::reported(const DeviceReported& event, std::int64_t now) const {
  Changes changes;
  const RolloutDeviceRow& before = devices_.at(event.device);
  RolloutDeviceRow device = before;
  const StepReport& report = event.report;
  if (report.artifact == row_.artifact) {
    if (device.step == DeviceStep::kPending || report.step <= device.step) return changes;
    // It gave the artifact up because it was called back: it runs what it ran before.
    const bool called_back = row_.state == RolloutState::kRolledBack && !is_final(device.step);
    device.step =
        called_back && report.step == DeviceStep::kFailed ? DeviceStep::kRolledBack : report.step;
  } else if (row_.state == RolloutState::kRolledBack && report.artifact == device.baseline) {
    if (device.step == DeviceStep::kFailed || device.step == DeviceStep::kRolledBack)
      return changes;
    if (report.step == DeviceStep::kCommitted) device.step = DeviceStep::kRolledBack;
    if (report.step == DeviceStep::kFailed) device.step = DeviceStep::kFailed;
    if (device.step == before.step) return changes;  // on its way
  } else {
    return changes;  // about something this rollout never offered
  }
  device.reason = report.reason.substr(0, kMaxReason);
  device.bytes_fetched = std::max(device.bytes_fetched, report.bytes_fetched);
  device.pages_fetched = std::max(device.pages_fetched, report.pages_fetched);
  device.changed = now;
  changes.devices.push_back(std::move(device));
  finish_if_done(changes, now);
  return changes;
}

}  // namespace skein
