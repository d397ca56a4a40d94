#include "coordinator/app/internal/rooms.h"

namespace skein {

std::vector<DeviceJoined> fleet_of(const DeviceRegistry& devices) {
  std::vector<DeviceJoined> fleet;
  for (const auto& [id, device] : devices.devices()) {
    if (device.state == DeviceState::kActive) fleet.push_back({id, device.active});
  }
  return fleet;
}

Result<void> roll_out(Rooms& rooms, const Digest& artifact) {
  std::optional<RolloutId> id;
  for (const RolloutMachine* machine : rooms.rollouts.live()) {
    const RolloutState state = machine->row().state;
    const bool over = state == RolloutState::kAborted || state == RolloutState::kRolledBack;
    if (machine->row().artifact != artifact || over) continue;
    if (state != RolloutState::kReady) return {};
    id = machine->row().id;
  }
  if (!id) {
    TRY(id, rooms.rollouts.create(artifact));
  }
  auto started = rooms.rollouts.operate(*id, RolloutVerb::kStart, fleet_of(rooms.devices));
  if (!started && started.error().code == Errc::kConflict) {
    rooms.env.log.warn("rollout waits for the operator",
                       {{"rollout", id->value()}, {"reason", started.error().what}});
    return {};
  }
  return started;
}

}  // namespace skein
