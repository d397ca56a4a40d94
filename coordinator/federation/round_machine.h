// RoundMachine: what a federated round does next. Pure: no clock, no I/O; every change is a step()
// with the time passed in, and record() after it is everything that must be on disk before the
// returned actions are carried out. Value; one thread at a time.
//
//   open -> selecting -> training -> collecting -> aggregating -> evaluating -> published | failed
//
// open: nobody asked yet. selecting: fewer devices than the quorum were asked. training: enough
// were. collecting: the first update was counted. At the quorum the round closes to updates:
// aggregating, evaluating, and it ends published (better on held-out text) or failed (with the
// reason). Devices are asked until `invite` were, at any time before the quorum; at the deadline a
// round that still lacks its quorum fails and says how many it had.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/wire/messages.h"

namespace skein {

inline constexpr std::uint32_t kMaxRoundDevices = 1024;
inline constexpr std::uint32_t kMaxRoundSeconds = 7 * 24 * 3600;
inline constexpr std::uint64_t kMaxUpdateTokens = 1U << 26;  // one device's weight
inline constexpr std::uint32_t kMaxRoundContext = 4096;
inline constexpr std::uint32_t kMaxRoundEpochs = 100;

// Numbers stand in the database: never renumber.
enum class RoundPhase : std::uint8_t {
  kOpen = 1,
  kSelecting = 2,
  kTraining = 3,
  kCollecting = 4,
  kAggregating = 5,
  kEvaluating = 6,
  kPublished = 7,
  kFailed = 8,
};
std::string_view name_of(RoundPhase phase);
bool ended(RoundPhase phase);  // published or failed

struct RoundPlan {
  RoundOffer offer;               // offer.round is given by the store; offer.artifact is the base
  std::uint32_t quorum = 1;       // k: updates that close the round
  std::uint32_t invite = 1;       // n >= k: devices asked
  std::uint32_t seconds = 3600;   // from opening to the deadline
  double max_update_norm = 2000;  // longer updates are rejected
  friend bool operator==(const RoundPlan&, const RoundPlan&) = default;
};
// Errc::kUsage naming the first field out of bounds.
Result<void> check_plan(const RoundPlan& plan);

struct Participant {
  DeviceId device{};
  std::optional<UploadBegin> upload;  // as last begun
  bool counted = false;               // verified, once
  friend bool operator==(const Participant&, const Participant&) = default;
};

// Everything a round is; what the store keeps.
struct RoundRecord {
  RoundId round{};
  RoundPlan plan;
  RoundPhase phase = RoundPhase::kOpen;
  std::string reason;  // why it failed
  std::chrono::sys_seconds opened{};
  std::chrono::sys_seconds deadline{};
  std::vector<Participant> participants;  // by device id, ascending
  std::optional<double> base_loss;        // held out, nats per token
  std::optional<double> candidate_loss;
  std::optional<Digest> candidate;  // the new artifact's manifest
  friend bool operator==(const RoundRecord&, const RoundRecord&) = default;
};

struct DeviceReady {  // has the base active and may be asked
  DeviceId device{};
};
struct UploadBegun {
  DeviceId device{};
  UploadBegin upload;
};
struct UpdateVerified {  // all bytes there, hash right, checked by the aggregator
  DeviceId device{};
  Digest content;
};
struct UpdateRejected {  // so the device may begin again
  DeviceId device{};
};
struct TimePassed {};
struct Aggregated {};
struct Evaluated {
  double base_loss = 0;
  double candidate_loss = 0;
  Digest candidate;
};
struct CandidatePublished {};
struct RoundBroken {  // the work itself failed, or someone called it off
  std::string reason;
};
using RoundEvent = std::variant<DeviceReady, UploadBegun, UpdateVerified, UpdateRejected,
                                TimePassed, Aggregated, Evaluated, CandidatePublished, RoundBroken>;

enum class RoundAction : std::uint8_t {
  kNone,       // nothing
  kOffer,      // tell the device of DeviceReady about the round
  kAggregate,  // combine what was counted, then Aggregated
  kEvaluate,   // base and candidate on held-out text, then Evaluated
  kPublish,    // the candidate is better: publish it, then CandidatePublished
  kCleanUp,    // the round has ended: its uploads may go
};

class RoundMachine {
 public:
  RoundMachine(RoundId round, RoundPlan plan, std::chrono::sys_seconds now);  // plan is checked
  explicit RoundMachine(RoundRecord record) : record_(std::move(record)) {}   // after a restart

  // Errors change nothing: kRefused for a device that was not asked, kConflict for an update that
  // comes after the round closed or that differs from the one already counted.
  Result<RoundAction> step(const RoundEvent& event, std::chrono::sys_seconds now);
  // What was under way in this phase: kAggregate, kEvaluate, kPublish or kNone. Safe to do again.
  RoundAction unfinished() const;
  const RoundRecord& record() const { return record_; }
  std::uint32_t counted() const;
  const Participant* participant(DeviceId device) const;  // or nullptr

 private:
  struct Stepper;
  RoundRecord record_;
};

}  // namespace skein
