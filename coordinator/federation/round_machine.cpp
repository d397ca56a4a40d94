#include "coordinator/federation/round_machine.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace skein {

std::string_view name_of(RoundPhase phase) {
  switch (phase) {
    case RoundPhase::kOpen:
      return "open";
    case RoundPhase::kSelecting:
      return "selecting";
    case RoundPhase::kTraining:
      return "training";
    case RoundPhase::kCollecting:
      return "collecting";
    case RoundPhase::kAggregating:
      return "aggregating";
    case RoundPhase::kEvaluating:
      return "evaluating";
    case RoundPhase::kPublished:
      return "published";
    case RoundPhase::kFailed:
      return "failed";
  }
  return "unknown";
}

bool ended(RoundPhase phase) {
  return phase == RoundPhase::kPublished || phase == RoundPhase::kFailed;
}

Result<void> check_plan(const RoundPlan& plan) {
  const auto refuse = [](const char* field, const std::string& range) {
    return fail(Errc::kUsage, std::string(field) + " must be " + range, "round plan");
  };
  const auto positive = [](double value, double most) {
    return std::isfinite(value) && value > 0 && value <= most;
  };
  const RoundOffer& offer = plan.offer;
  if (plan.quorum < 1 || plan.quorum > plan.invite) return refuse("quorum", "1 to invite");
  if (plan.invite > kMaxRoundDevices) {
    return refuse("invite", "at most " + std::to_string(kMaxRoundDevices));
  }
  if (plan.seconds < 1 || plan.seconds > kMaxRoundSeconds) {
    return refuse("seconds", "1 to " + std::to_string(kMaxRoundSeconds));
  }
  if (!positive(plan.max_update_norm, 1e9)) return refuse("max_update_norm", "above 0");
  if (!positive(offer.learning_rate, 10)) return refuse("learning_rate", "above 0, at most 10");
  if (!positive(offer.clip, 1e6)) return refuse("clip", "above 0, at most 1e6");
  if (offer.epochs < 1 || offer.epochs > kMaxRoundEpochs) {
    return refuse("epochs", "1 to " + std::to_string(kMaxRoundEpochs));
  }
  if (offer.context < 1 || offer.context > kMaxRoundContext) {
    return refuse("context", "1 to " + std::to_string(kMaxRoundContext));
  }
  return {};
}

// One step: works on a copy of the record, so that an error changes nothing.
struct RoundMachine::Stepper {
  RoundRecord& record;
  std::chrono::sys_seconds now;

  Result<RoundAction> operator()(const DeviceReady& event);
  Result<RoundAction> operator()(const UploadBegun& event);
  Result<RoundAction> operator()(const UpdateVerified& event);
  Result<RoundAction> operator()(const UpdateRejected& event);
  Result<RoundAction> operator()(const TimePassed&);
  Result<RoundAction> operator()(const Aggregated&);
  Result<RoundAction> operator()(const Evaluated& event);
  Result<RoundAction> operator()(const CandidatePublished&);
  Result<RoundAction> operator()(const RoundBroken& event);

  bool takes_updates() const {
    return record.phase < RoundPhase::kAggregating && now < record.deadline;
  }
  void reach(RoundPhase phase) { record.phase = std::max(record.phase, phase); }
  std::string place() const { return "round " + std::to_string(record.round.value()); }
  Participant* find(DeviceId device);
  Result<Participant*> asked(DeviceId device);
  std::uint32_t counted() const {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(record.participants, &Participant::counted));
  }
  RoundAction end_as_failed(std::string reason) {
    record.phase = RoundPhase::kFailed;
    record.reason = std::move(reason);
    return RoundAction::kCleanUp;
  }
  tl::unexpected<Error> elsewhere(std::string_view wanted) const {
    return fail(
        Errc::kConflict,
        "the round is " + std::string(name_of(record.phase)) + ", not " + std::string(wanted),
        place());
  }
};

Participant* RoundMachine::Stepper::find(DeviceId device) {
  const auto at = std::ranges::lower_bound(record.participants, device, {}, &Participant::device);
  return at != record.participants.end() && at->device == device ? &*at : nullptr;
}

Result<Participant*> RoundMachine::Stepper::asked(DeviceId device) {
  Participant* participant = find(device);
  if (participant == nullptr) {
    return fail(Errc::kRefused, "the device was not asked to take part", place());
  }
  return participant;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const DeviceReady& event) {
  if (!takes_updates()) return RoundAction::kNone;
  if (const Participant* known = find(event.device)) {
    return known->counted ? RoundAction::kNone : RoundAction::kOffer;
  }
  if (record.participants.size() >= record.plan.invite) return RoundAction::kNone;
  const auto at =
      std::ranges::lower_bound(record.participants, event.device, {}, &Participant::device);
  record.participants.insert(at, Participant{event.device, std::nullopt, false});
  reach(record.participants.size() < record.plan.quorum ? RoundPhase::kSelecting
                                                        : RoundPhase::kTraining);
  return RoundAction::kOffer;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const UploadBegun& event) {
  TRY(Participant * participant, asked(event.device));
  const UploadBegin& upload = event.upload;
  if (participant->counted) {
    if (participant->upload->content == upload.content) return RoundAction::kNone;
    return fail(Errc::kConflict, "another update of this device is already counted", place());
  }
  if (!takes_updates()) {
    return fail(Errc::kConflict, "the round has closed; this update comes too late", place());
  }
  if (upload.tokens < 1 || upload.tokens > kMaxUpdateTokens) {
    return fail(Errc::kRefused, "an update must come from 1 to 2^26 tokens", place());
  }
  if (!std::isfinite(upload.loss_before) || !std::isfinite(upload.loss_after)) {
    return fail(Errc::kRefused, "an update's losses must be finite", place());
  }
  participant->upload = upload;
  return RoundAction::kNone;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const UpdateVerified& event) {
  TRY(Participant * participant, asked(event.device));
  if (!participant->upload || participant->upload->content != event.content) {
    return fail(Errc::kConflict, "this is not the update that was begun", place());
  }
  if (participant->counted) return RoundAction::kNone;
  if (!takes_updates()) {
    return fail(Errc::kConflict, "the round has closed; this update comes too late", place());
  }
  participant->counted = true;
  reach(RoundPhase::kCollecting);
  if (counted() < record.plan.quorum) return RoundAction::kNone;
  reach(RoundPhase::kAggregating);
  return RoundAction::kAggregate;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const UpdateRejected& event) {
  TRY(Participant * participant, asked(event.device));
  if (!participant->counted) participant->upload.reset();
  return RoundAction::kNone;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const TimePassed&) {
  if (record.phase >= RoundPhase::kAggregating || now < record.deadline) return RoundAction::kNone;
  return end_as_failed("below quorum at the deadline: " + std::to_string(counted()) + " of " +
                       std::to_string(record.plan.quorum) + " updates had come from " +
                       std::to_string(record.participants.size()) + " devices asked");
}

Result<RoundAction> RoundMachine::Stepper::operator()(const Aggregated&) {
  if (record.phase != RoundPhase::kAggregating) return elsewhere("aggregating");
  record.phase = RoundPhase::kEvaluating;
  return RoundAction::kEvaluate;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const Evaluated& event) {
  if (record.phase != RoundPhase::kEvaluating) return elsewhere("evaluating");
  record.base_loss = event.base_loss;
  record.candidate_loss = event.candidate_loss;
  record.candidate = event.candidate;
  if (event.candidate_loss < event.base_loss) return RoundAction::kPublish;
  return end_as_failed("not better on held-out text: " + std::to_string(event.base_loss) +
                       " before, " + std::to_string(event.candidate_loss) + " after");
}

Result<RoundAction> RoundMachine::Stepper::operator()(const CandidatePublished&) {
  if (record.phase != RoundPhase::kEvaluating || !record.candidate) return elsewhere("evaluating");
  record.phase = RoundPhase::kPublished;
  return RoundAction::kCleanUp;
}

Result<RoundAction> RoundMachine::Stepper::operator()(const RoundBroken& event) {
  if (ended(record.phase)) return elsewhere("running");
  return end_as_failed(event.reason);
}

RoundMachine::RoundMachine(RoundId round, RoundPlan plan, std::chrono::sys_seconds now) {
  CHECK(check_plan(plan));
  record_.round = round;
  record_.plan = std::move(plan);
  record_.plan.offer.round = round;
  record_.opened = now;
  record_.deadline = now + std::chrono::seconds(record_.plan.seconds);
}

Result<RoundAction> RoundMachine::step(const RoundEvent& event, std::chrono::sys_seconds now) {
  RoundRecord next = record_;
  TRY(const RoundAction action, std::visit(Stepper{next, now}, event));
  record_ = std::move(next);
  return action;
}

RoundAction RoundMachine::unfinished() const {
  if (record_.phase == RoundPhase::kAggregating) return RoundAction::kAggregate;
  if (record_.phase != RoundPhase::kEvaluating) return RoundAction::kNone;
  return record_.candidate ? RoundAction::kPublish : RoundAction::kEvaluate;
}

std::uint32_t RoundMachine::counted() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(record_.participants, &Participant::counted));
}

const Participant* RoundMachine::participant(DeviceId device) const {
  const auto at = std::ranges::lower_bound(record_.participants, device, {}, &Participant::device);
  return at != record_.participants.end() && at->device == device ? &*at : nullptr;
}

}  // namespace skein
