// UpdateMachine: what a device does about an offered artifact, as a pure table of transitions.
// Value; any thread. Owned by Updater, which carries out its actions and feeds their outcome back.
//
// Nothing here waits: the coordinator repeats its offer at every heartbeat until the device reports
// the rollout done, and each repeated offer is the occasion to go on, retry or report again. So a
// message lost anywhere costs one heartbeat, and there are no timers to keep.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/env/task.h"
#include "common/wire/messages.h"

namespace skein {

inline constexpr Duration kFirstResume = std::chrono::milliseconds(200);  // after a cut link
inline constexpr Duration kMaxResume = std::chrono::seconds(30);
inline constexpr Duration kFirstRetry = std::chrono::seconds(2);  // a failed rollout offered again
inline constexpr Duration kMaxRetry = std::chrono::minutes(10);
inline constexpr unsigned kMaxEmptyBatches = 3;  // in a row, without one wanted page
inline constexpr std::size_t kMaxFailures = 16;  // rollouts remembered as failed
inline constexpr std::size_t kMaxHeldReports = kMaxStepReports - 1;
// No rollout: the device mends the artifact it should be running; the coordinator is told nothing.
inline constexpr RolloutId kRepair{0};
inline constexpr std::uint64_t kDiskReserve = 8U << 20;  // left free after an update

struct UpdateEvent {
  struct Offered {
    UpdateOffer offer;
    std::optional<Digest> active;
  };
  struct ManifestHeld {  // verified and decoded
    Digest artifact;
    std::uint64_t missing_pages = 0;
    std::uint64_t missing_bytes = 0;
    std::uint64_t free_disk_bytes = 0;
  };
  struct BatchStored {
    Digest artifact;
    std::uint32_t pages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t still_missing = 0;
  };
  struct LinkFailed {  // worth trying again
    Digest artifact;
    std::uint32_t pages = 0;  // that came before
    std::uint64_t bytes = 0;
  };
  struct Rejected {  // not worth trying again: "signature: ...", "page: ...", "canary: ..."
    Digest artifact;
    std::string reason;
  };
  struct CanaryPassed {
    Digest artifact;
  };
  struct Switched {
    Digest artifact;
  };
  struct Recorded {  // the coordinator has this report on disk
    RolloutId rollout{};
    DeviceStep step = DeviceStep::kPending;
  };
};
using AnyUpdateEvent =
    std::variant<UpdateEvent::Offered, UpdateEvent::ManifestHeld, UpdateEvent::BatchStored,
                 UpdateEvent::LinkFailed, UpdateEvent::Rejected, UpdateEvent::CanaryPassed,
                 UpdateEvent::Switched, UpdateEvent::Recorded>;

enum class UpdateAction : unsigned char {
  kGetManifest,  // of current(): then ManifestHeld, LinkFailed or Rejected
  kGetPages,     // one batch of what is missing: then BatchStored, LinkFailed or Rejected
  kRunCanary,    // then CanaryPassed or Rejected
  kSwitchSlot,   // then Switched or Rejected
  kSweepPages,   // pages of neither slot may go
  kSaveJournal,
  kHeartbeat,  // there is news for the coordinator
};
using UpdateActions = std::vector<UpdateAction>;

// What must outlive the process: final reports not yet recorded, and which rollouts have failed.
struct UpdateJournal {
  std::vector<StepReport> reports;
  std::vector<std::pair<RolloutId, std::uint32_t>> failures;  // how often
  friend bool operator==(const UpdateJournal&, const UpdateJournal&) = default;
};

class UpdateMachine {
 public:
  UpdateMachine() = default;
  UpdateMachine(UpdateJournal journal, Instant now);

  UpdateActions step(const AnyUpdateEvent& event, Instant now);

  // For the next heartbeat: final reports not yet recorded, then the running one.
  std::vector<StepReport> reports() const;
  UpdateJournal journal() const;
  // The artifact being worked on, if any.
  std::optional<UpdateOffer> current() const;

 private:
  struct Work {
    UpdateOffer offer;
    DeviceStep step = DeviceStep::kOffered;
    bool stalled = false;  // the link failed; the next offer after resume_at goes on
    Instant resume_at{};
    unsigned link_failures = 0;  // since the last progress
    unsigned empty_batches = 0;
    std::uint64_t bytes = 0;
    std::uint32_t pages = 0;
  };
  struct Failure {
    RolloutId rollout;
    std::uint32_t count = 0;
    Instant retry_at{};
  };

  UpdateActions on(const UpdateEvent::Offered& event, Instant now);
  UpdateActions on(const UpdateEvent::ManifestHeld& event, Instant now);
  UpdateActions on(const UpdateEvent::BatchStored& event, Instant now);
  UpdateActions on(const UpdateEvent::LinkFailed& event, Instant now);
  UpdateActions on(const UpdateEvent::Rejected& event, Instant now);
  UpdateActions on(const UpdateEvent::CanaryPassed& event, Instant now);
  UpdateActions on(const UpdateEvent::Switched& event, Instant now);
  UpdateActions on(const UpdateEvent::Recorded& event, Instant now);

  bool works_on(const Digest& artifact, DeviceStep step) const;
  UpdateActions begin(const UpdateOffer& offer);
  UpdateActions resume(Instant now);
  UpdateActions fail_work(std::string reason, Instant now);
  UpdateActions staged();
  void finish(DeviceStep step, std::string reason);
  void hold(StepReport report);
  bool held(RolloutId rollout) const;
  void remember_failure(RolloutId rollout, Instant now);
  const Failure* failure_of(RolloutId rollout) const;

  std::optional<Work> work_;
  std::vector<StepReport> held_;  // final, not yet recorded; oldest first
  std::vector<Failure> failures_;
};

}  // namespace skein
