// RolloutController: carries out what RolloutMachine decides. Owned by the app; loop thread only.
//
// Every transition is written to the Store before it is adopted, and adopted before anything is
// offered: whatever moment the process dies at, restore() continues from the rows. Level triggered:
// nothing is sent to devices; each heartbeat's reply carries the offer until the device is done.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/env/env.h"
#include "coordinator/registry/store.h"
#include "coordinator/rollout/rollout_machine.h"

namespace skein {

inline constexpr std::size_t kMaxLiveRollouts = 64;  // the newest; older ones are only rows

class RolloutController {
 public:
  RolloutController(Env env, Store& store);  // store outlives it
  RolloutController(const RolloutController&) = delete;
  RolloutController& operator=(const RolloutController&) = delete;

  Result<void> restore();  // once, before anything else

  // A rollout of `artifact`, which the caller has found in the registry: draft, then ready.
  Result<RolloutId> create(const Digest& artifact);
  // `fleet`: the devices that may get work; they join when the rollout starts. Errc::kNotFound;
  // Errc::kConflict when the verb does not fit or another rollout is active.
  Result<void> operate(RolloutId rollout, RolloutVerb verb, std::vector<DeviceJoined> fleet);

  struct Answer {
    std::vector<std::pair<RolloutId, DeviceStep>> recorded;
    std::optional<std::pair<RolloutId, Digest>> offer;
  };
  // One heartbeat: its reports, then what it runs; the answer says what it need not repeat and what
  // to run next. `admitted`: false for a cordoned device, which gets nothing new.
  Result<Answer> heard(DeviceId device, const Heartbeat& heartbeat, bool admitted);
  // Cordoned or revoked: it is counted as failed where it was not done. `reason`: "revoked: ...".
  Result<void> device_left(DeviceId device, std::string_view reason);

  const RolloutMachine* find(RolloutId rollout) const;  // among the live ones
  std::vector<const RolloutMachine*> live() const;      // newest last
  const RolloutMachine* active() const;                 // running or paused; or nullptr

 private:
  Result<void> apply(RolloutMachine& machine, const RolloutEvent& event);
  Result<void> load(const RolloutRow& row);
  Result<void> offer(DeviceId device, const Heartbeat& heartbeat, bool admitted, Answer& answer);
  std::vector<RolloutMachine*> newest_started_first();
  void forget_old();

  Env env_;
  Store& store_;
  std::map<RolloutId, RolloutMachine> machines_;
};

}  // namespace skein
