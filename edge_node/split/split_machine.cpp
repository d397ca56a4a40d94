#include "edge_node/split/split_machine.h"

#include "common/base/check.h"

namespace skein {

SplitAction SplitMachine::step(const AnySplitEvent& event) {
  CHECK(!local_);
  return std::visit([&](const auto& one) { return on(one); }, event);
}

SplitAction SplitMachine::on(const SplitEvent::Fed& event) {
  CHECK(batch_ == 0 && event.count > 0);
  batch_ = event.count;
  reopens_ = 0;
  return opened_ ? SplitAction::kSend : SplitAction::kOpen;
}

SplitAction SplitMachine::on(const SplitEvent::Opened& event) {
  const bool before_batch = event.next == base_;
  const bool after_batch = event.next.value() == base_.value() + batch_;  // the reply was lost
  if (!before_batch && !after_batch) return go_local();
  opened_ = true;
  return SplitAction::kSend;
}

SplitAction SplitMachine::on(const SplitEvent::Answered&) {
  base_ = Step(base_.value() + batch_);
  batch_ = 0;
  return SplitAction::kUseReply;
}

SplitAction SplitMachine::on(const SplitEvent::CallFailed& event) {
  const bool link = event.code == Errc::kUnavailable || event.code == Errc::kDeadline ||
                    event.code == Errc::kCancelled;
  if (!link || reopens_ == kMaxReopens) return go_local();
  reopens_ += 1;
  opened_ = false;
  return SplitAction::kWaitLink;
}

SplitAction SplitMachine::on(const SplitEvent::LinkBack&) { return SplitAction::kOpen; }
SplitAction SplitMachine::on(const SplitEvent::LinkGone&) { return go_local(); }

SplitAction SplitMachine::go_local() {
  local_ = true;
  return SplitAction::kGoLocal;
}

}  // namespace skein
