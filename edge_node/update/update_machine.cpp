#include "edge_node/update/update_machine.h"

#include <algorithm>

namespace skein {

namespace {

using Action = UpdateAction;

Duration doubled(Duration first, Duration most, unsigned times) {
  Duration wait = first;
  for (unsigned i = 0; i < times && wait < most; ++i) wait *= 2;
  return std::min(wait, most);
}

}  // namespace

UpdateMachine::UpdateMachine(UpdateJournal journal, Instant now)
    : held_(std::move(journal.reports)) {
  if (held_.size() > kMaxHeldReports) {
    held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(kMaxHeldReports));
  }
  for (const auto& [rollout, count] : journal.failures) {
    if (failures_.size() == kMaxFailures) break;
    const Duration wait = doubled(kFirstRetry, kMaxRetry, count > 0 ? count - 1 : 0);
    failures_.push_back({rollout, count, now + wait});
  }
}

UpdateActions UpdateMachine::step(const AnyUpdateEvent& event, Instant now) {
  return std::visit([&](const auto& one) { return on(one, now); }, event);
}

UpdateActions UpdateMachine::on(const UpdateEvent::Offered& event, Instant now) {
  const UpdateOffer& offer = event.offer;
  if (work_ && work_->offer == offer) return resume(now);
  if (held(offer.rollout)) return {};  // reported; the coordinator will say when it knows
  if (const Failure* failure = failure_of(offer.rollout); failure && now < failure->retry_at) {
    return {};
  }
  UpdateActions actions;
  if (work_) actions = fail_work("superseded: another artifact was offered", now);
  if (event.active == offer.artifact && offer.rollout != kRepair) {
    hold({offer.rollout, offer.artifact, DeviceStep::kCommitted, "already active", 0, 0});
    return {Action::kSaveJournal, Action::kHeartbeat};
  }
  const UpdateActions more = begin(offer);
  actions.insert(actions.end(), more.begin(), more.end());
  return actions;
}

UpdateActions UpdateMachine::begin(const UpdateOffer& offer) {
  work_ = Work{};
  work_->offer = offer;
  return {Action::kGetManifest};
}

UpdateActions UpdateMachine::resume(Instant now) {
  if (!work_->stalled || now < work_->resume_at) return {};
  work_->stalled = false;
  const bool manifest_first = work_->step == DeviceStep::kOffered;
  return {manifest_first ? Action::kGetManifest : Action::kGetPages};
}

UpdateActions UpdateMachine::on(const UpdateEvent::ManifestHeld& event, Instant now) {
  if (!works_on(event.artifact, DeviceStep::kOffered)) return {};
  work_->link_failures = 0;
  if (event.missing_pages == 0) return staged();
  if (event.free_disk_bytes < event.missing_bytes + kDiskReserve) {
    return fail_work("disk: " + std::to_string(event.missing_bytes + kDiskReserve) +
                         " bytes needed, " + std::to_string(event.free_disk_bytes) + " free",
                     now);
  }
  work_->step = DeviceStep::kDownloading;
  return {Action::kGetPages, Action::kHeartbeat};
}

UpdateActions UpdateMachine::on(const UpdateEvent::BatchStored& event, Instant now) {
  if (!works_on(event.artifact, DeviceStep::kDownloading)) return {};
  work_->pages += event.pages;
  work_->bytes += event.bytes;
  if (event.still_missing == 0) return staged();
  work_->empty_batches = event.pages == 0 ? work_->empty_batches + 1 : 0;
  if (work_->empty_batches == kMaxEmptyBatches) {
    return fail_work("page: the coordinator does not have " + std::to_string(event.still_missing) +
                         " of the pages",
                     now);
  }
  work_->link_failures = 0;
  return {Action::kGetPages};
}

UpdateActions UpdateMachine::staged() {
  // "staged" and "evaluating" follow each other at once: what a heartbeat sees is the second.
  work_->step = DeviceStep::kEvaluating;
  return {Action::kRunCanary};
}

UpdateActions UpdateMachine::on(const UpdateEvent::LinkFailed& event, Instant now) {
  if (!work_ || work_->offer.artifact != event.artifact || work_->stalled) return {};
  work_->pages += event.pages;
  work_->bytes += event.bytes;
  if (event.pages > 0) work_->link_failures = 0;
  work_->stalled = true;
  work_->resume_at = now + doubled(kFirstResume, kMaxResume, work_->link_failures);
  work_->link_failures += 1;
  return {};
}

UpdateActions UpdateMachine::on(const UpdateEvent::Rejected& event, Instant now) {
  if (!work_ || work_->offer.artifact != event.artifact) return {};
  return fail_work(event.reason, now);
}

UpdateActions UpdateMachine::on(const UpdateEvent::CanaryPassed& event, Instant) {
  if (!works_on(event.artifact, DeviceStep::kEvaluating)) return {};
  return {Action::kSwitchSlot};
}

UpdateActions UpdateMachine::on(const UpdateEvent::Switched& event, Instant) {
  if (!works_on(event.artifact, DeviceStep::kEvaluating)) return {};
  const RolloutId rollout = work_->offer.rollout;
  std::erase_if(failures_, [&](const Failure& failure) { return failure.rollout == rollout; });
  finish(DeviceStep::kCommitted, "");
  return {Action::kSaveJournal, Action::kHeartbeat, Action::kSweepPages};
}

UpdateActions UpdateMachine::on(const UpdateEvent::Recorded& event, Instant) {
  const auto gone = std::erase_if(held_, [&](const StepReport& report) {
    return report.rollout == event.rollout && report.step == event.step;
  });
  if (gone == 0) return {};
  return {Action::kSaveJournal};
}

bool UpdateMachine::works_on(const Digest& artifact, DeviceStep step) const {
  return work_ && work_->offer.artifact == artifact && work_->step == step && !work_->stalled;
}

UpdateActions UpdateMachine::fail_work(std::string reason, Instant now) {
  const RolloutId rollout = work_->offer.rollout;
  finish(DeviceStep::kFailed, std::move(reason));
  remember_failure(rollout, now);
  return {Action::kSaveJournal, Action::kHeartbeat};
}

void UpdateMachine::finish(DeviceStep step, std::string reason) {
  if (reason.size() > kMaxText) reason.resize(kMaxText);
  hold({work_->offer.rollout, work_->offer.artifact, step, std::move(reason), work_->bytes,
        work_->pages});
  work_.reset();
}

void UpdateMachine::hold(StepReport report) {
  if (report.rollout == kRepair) return;
  std::erase_if(held_, [&](const StepReport& old) { return old.rollout == report.rollout; });
  if (held_.size() == kMaxHeldReports) held_.erase(held_.begin());
  held_.push_back(std::move(report));
}

bool UpdateMachine::held(RolloutId rollout) const {
  return std::ranges::any_of(held_, [&](const auto& report) { return report.rollout == rollout; });
}

void UpdateMachine::remember_failure(RolloutId rollout, Instant now) {
  auto known = std::ranges::find(failures_, rollout, &Failure::rollout);
  if (known == failures_.end()) {
    if (failures_.size() == kMaxFailures) failures_.erase(failures_.begin());
    failures_.push_back({rollout, 0, now});
    known = std::prev(failures_.end());
  }
  known->retry_at = now + doubled(kFirstRetry, kMaxRetry, known->count);
  known->count += 1;
}

const UpdateMachine::Failure* UpdateMachine::failure_of(RolloutId rollout) const {
  const auto known = std::ranges::find(failures_, rollout, &Failure::rollout);
  return known == failures_.end() ? nullptr : &*known;
}

std::vector<StepReport> UpdateMachine::reports() const {
  std::vector<StepReport> all = held_;
  if (work_ && work_->offer.rollout != kRepair) {
    all.push_back(
        {work_->offer.rollout, work_->offer.artifact, work_->step, "", work_->bytes, work_->pages});
  }
  return all;
}

UpdateJournal UpdateMachine::journal() const {
  UpdateJournal journal;
  journal.reports = held_;
  for (const Failure& failure : failures_) {
    journal.failures.emplace_back(failure.rollout, failure.count);
  }
  return journal;
}

std::optional<UpdateOffer> UpdateMachine::current() const {
  return work_ ? std::optional(work_->offer) : std::nullopt;
}

}  // namespace skein
