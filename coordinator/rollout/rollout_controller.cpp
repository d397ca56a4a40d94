#include "coordinator/rollout/rollout_controller.h"

#include <algorithm>
#include <ranges>
#include <tuple>

namespace skein {

RolloutController::RolloutController(Env env, Store& store) : env_(env), store_(store) {}

Result<void> RolloutController::restore() {
  TRY(const auto rows, store_.rollouts());
  const std::size_t skipped = rows.size() - std::min(rows.size(), kMaxLiveRollouts);
  for (const RolloutRow& row : rows | std::views::drop(skipped)) TRY_VOID(load(row));
  // A crash may have fallen between the draft and its readiness; the artifact was there before.
  for (auto& [id, machine] : machines_) TRY_VOID(apply(machine, ArtifactReady{}));
  return {};
}

Result<void> RolloutController::load(const RolloutRow& row) {
  TRY(auto devices, store_.rollout_devices(row.id));
  machines_.insert_or_assign(row.id, RolloutMachine(row, std::move(devices)));
  return {};
}

Result<void> RolloutController::apply(RolloutMachine& machine, const RolloutEvent& event) {
  const std::int64_t now = env_.clock.wall_now().time_since_epoch().count();
  TRY(const auto changes, machine.decide(event, now));
  if (changes.empty()) return {};
  const RolloutState before = machine.row().state;
  TRY_VOID(store_.put_rollout(changes.rollout.value_or(machine.row()), changes.devices));
  machine.adopt(changes);
  if (machine.row().state != before) {
    env_.log.info("rollout moved", {{"rollout", machine.row().id.value()},
                                    {"from", name_of(before)},
                                    {"to", name_of(machine.row().state)}});
  }
  for (const RolloutDeviceRow& device : changes.devices) {
    env_.log.info("device step", {{"rollout", machine.row().id.value()},
                                  {"device", device.device.value()},
                                  {"step", name_of(device.step)},
                                  {"reason", device.reason}});
  }
  return {};
}

Result<RolloutId> RolloutController::create(const Digest& artifact) {
  TRY(const RolloutId id, store_.next_rollout_id());
  RolloutRow row;
  row.id = id;
  row.artifact = artifact;
  row.created = row.changed = env_.clock.wall_now().time_since_epoch().count();
  TRY_VOID(store_.put_rollout(row, {}));
  const auto [place, fresh] = machines_.insert_or_assign(id, RolloutMachine(row));
  TRY_VOID(apply(place->second, ArtifactReady{}));
  forget_old();
  return id;
}

void RolloutController::forget_old() {
  for (auto it = machines_.begin(); it != machines_.end();) {
    const bool forget = machines_.size() > kMaxLiveRollouts && !it->second.active();
    it = forget ? machines_.erase(it) : std::next(it);
  }
}

Result<void> RolloutController::operate(RolloutId rollout, RolloutVerb verb,
                                        std::vector<DeviceJoined> fleet) {
  const auto found = machines_.find(rollout);
  if (found == machines_.end()) {
    return fail(Errc::kNotFound, "there is no rollout " + std::to_string(rollout.value()), {},
                "`skein rollout ls` lists them");
  }
  RolloutMachine& machine = found->second;
  const RolloutMachine* busy = active();
  const bool starts = verb == RolloutVerb::kStart || verb == RolloutVerb::kRetry;
  if (starts && busy != nullptr && busy != &machine) {
    return fail(Errc::kConflict,
                "rollout " + std::to_string(busy->row().id.value()) + " is still " +
                    std::string(name_of(busy->row().state)),
                {}, "one rollout at a time: abort it or let it finish");
  }
  return apply(machine, Operated{verb, std::move(fleet)});
}

Result<RolloutController::Answer> RolloutController::heard(DeviceId device,
                                                           const Heartbeat& heartbeat,
                                                           bool admitted) {
  Answer answer;
  for (const StepReport& report : heartbeat.steps) {
    const auto found = machines_.find(report.rollout);
    if (found != machines_.end() && found->second.has(device)) {
      TRY_VOID(apply(found->second, DeviceReported{device, report}));
    } else {
      env_.log.warn("report about a rollout the device is not in",
                    {{"device", device.value()}, {"rollout", report.rollout.value()}});
    }
    answer.recorded.emplace_back(report.rollout, report.step);
  }
  TRY_VOID(offer(device, heartbeat, admitted, answer));
  return answer;
}

// The newest started rollout that knows the device, or takes it in, says what it should run.
Result<void> RolloutController::offer(DeviceId device, const Heartbeat& heartbeat, bool admitted,
                                      Answer& answer) {
  for (RolloutMachine* machine : newest_started_first()) {
    if (admitted && machine->admits()) {
      TRY_VOID(apply(*machine, DeviceJoined{device, heartbeat.active}));
    }
    if (!machine->has(device)) continue;
    if (!admitted) return {};
    TRY_VOID(apply(*machine, DeviceHeard{device, heartbeat.active}));
    if (const auto artifact = machine->offer_for(device))
      answer.offer.emplace(machine->row().id, *artifact);
    return {};
  }
  return {};
}

std::vector<RolloutMachine*> RolloutController::newest_started_first() {
  std::vector<RolloutMachine*> started;
  for (auto& [id, machine] : machines_) {
    const RolloutState state = machine.row().state;
    if (machine.active() || state == RolloutState::kFinished || state == RolloutState::kRolledBack)
      started.push_back(&machine);
  }
  std::ranges::sort(started, std::greater{}, [](const RolloutMachine* machine) {
    return std::tuple(machine->active(), machine->row().started, machine->row().id);
  });
  return started;
}

Result<void> RolloutController::device_left(DeviceId device, std::string_view reason) {
  for (auto& [id, machine] : machines_) {
    if (!machine.has(device)) continue;
    TRY_VOID(apply(machine, DeviceLeft{device, std::string(reason)}));
  }
  return {};
}

const RolloutMachine* RolloutController::find(RolloutId rollout) const {
  const auto found = machines_.find(rollout);
  return found == machines_.end() ? nullptr : &found->second;
}

std::vector<const RolloutMachine*> RolloutController::live() const {
  std::vector<const RolloutMachine*> all;
  for (const auto& [id, machine] : machines_) all.push_back(&machine);
  return all;
}

const RolloutMachine* RolloutController::active() const {
  for (const auto& [id, machine] : machines_) {
    if (machine.active()) return &machine;
  }
  return nullptr;
}

}  // namespace skein
