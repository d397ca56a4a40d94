// RolloutMachine: one rollout's states and what may happen next, and nothing else. Pure value: no
// clock, no store, no network; any thread. RolloutController owns one per rollout.
//
// It works in two moves, so that what is decided is on disk before anybody acts on it:
//   Changes changes = machine.decide(event, now);   // const: what would become of the rows
//   ... the caller writes `changes` durably ...
//   machine.adopt(changes);                         // now it is so
//
//   rollout:  draft -> ready -> running <-> paused -> finished | aborted | rolled_back
//   device:   pending -> offered -> downloading -> staged -> evaluating
//             -> committed | failed | rolled_back
//
// A device's step only moves forward (reports may come twice, late or out of order), with two
// exceptions that are decisions of the operator: retry takes failed back to pending, and a
// roll-back leads every device that took the artifact to the one it had before.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "coordinator/registry/rows.h"

namespace skein {

enum class RolloutVerb : std::uint8_t { kStart, kPause, kResume, kAbort, kRetry, kRollBack };
std::optional<RolloutVerb> parse_rollout_verb(std::string_view word);  // "start", ..., "rollback"
std::string_view name_of(RolloutVerb verb);

struct DeviceJoined {
  DeviceId device;
  std::optional<Digest> active;
};
struct ArtifactReady {};  // every page is here: the draft may start
struct Operated {
  RolloutVerb verb;
  std::vector<DeviceJoined> fleet;  // kStart: who takes part from the beginning
};
struct DeviceLeft {  // cordoned or revoked
  DeviceId device;
  std::string reason;  // "revoked: ..."
};
struct DeviceHeard {  // a heartbeat: what the device runs now
  DeviceId device;
  std::optional<Digest> active;
};
struct DeviceReported {
  DeviceId device;
  StepReport report;
};
using RolloutEvent =
    std::variant<ArtifactReady, Operated, DeviceJoined, DeviceLeft, DeviceHeard, DeviceReported>;

class RolloutMachine {
 public:
  explicit RolloutMachine(RolloutRow row);
  RolloutMachine(RolloutRow row, std::vector<RolloutDeviceRow> devices);

  // The rows as they will be after `event`; only those that differ from now.
  struct Changes {
    std::optional<RolloutRow> rollout;
    std::vector<RolloutDeviceRow> devices;
    bool empty() const { return !rollout && devices.empty(); }
  };
  // Errc::kConflict: the verb does not fit the state. kNotFound: the device is not in this rollout.
  // An event that says nothing new gives empty changes. `now`: wall seconds, for the rows.
  Result<Changes> decide(const RolloutEvent& event, std::int64_t now) const;
  void adopt(const Changes& changes);

  const RolloutRow& row() const { return row_; }
  const std::map<DeviceId, RolloutDeviceRow>& devices() const { return devices_; }
  bool has(DeviceId device) const { return devices_.contains(device); }
  // Running or paused: no other rollout may start.
  bool active() const;
  // A device that is not in it yet may join: late joiners of a running rollout, and of a finished
  // one as long as nothing newer has started.
  bool admits() const;
  // What the device's next heartbeat reply asks it to run; nullopt = nothing to do.
  std::optional<Digest> offer_for(DeviceId device) const;
  // How many devices stand at each step; the sum is devices().size().
  using Counts = std::array<std::uint32_t, 9>;  // indexed by DeviceStep's number; [0] stays 0
  const Counts& counts() const { return counts_; }

 private:
  Result<Changes> operate(const Operated& event, std::int64_t now) const;
  Changes joined(const DeviceJoined& event, std::int64_t now) const;
  Changes left(const DeviceLeft& event, std::int64_t now) const;
  Changes heard(const DeviceHeard& event, std::int64_t now) const;
  Changes reported(const DeviceReported& event, std::int64_t now) const;
  void retry_failed(Changes& changes, std::int64_t now) const;
  void roll_back(Changes& changes, std::int64_t now) const;
  // Running and every device at its end: the rollout itself is finished.
  void finish_if_done(Changes& changes, std::int64_t now) const;
  RolloutRow moved_to(RolloutState state, std::int64_t now) const;

  RolloutRow row_;
  std::map<DeviceId, RolloutDeviceRow> devices_;
  Counts counts_{};
};

bool is_final(DeviceStep step);  // committed, failed, rolled_back

}  // namespace skein
