#include "common/wire/internal/outbox.h"

namespace skein::wire {

bool Outbox::has_room() const {
  return frames_.size() < kMaxQueuedFrames && bytes_ < kMaxQueuedBytes;
}

Task<Result<void>> Outbox::send(Buffer frame) {
  while (!closed_ && !has_room()) co_await changed_.wait();
  if (closed_) co_return fail(Errc::kUnavailable, "the link has ended");
  bytes_ += frame.size();
  frames_.push_back(std::move(frame));
  changed_.notify_all();
  co_return Result<void>{};
}

bool Outbox::push(Buffer frame) {
  if (closed_) return true;
  if (frames_.size() >= kMaxQueuedFrames + kMaxQueuedAnswers) return false;
  bytes_ += frame.size();
  frames_.push_back(std::move(frame));
  changed_.notify_all();
  return true;
}

Task<std::optional<Buffer>> Outbox::next() {
  while (!closed_ && frames_.empty()) co_await changed_.wait();
  if (closed_) co_return std::nullopt;
  Buffer frame = std::move(frames_.front());
  frames_.pop_front();
  bytes_ -= frame.size();
  changed_.notify_all();
  co_return frame;
}

void Outbox::close() {
  closed_ = true;
  frames_.clear();
  bytes_ = 0;
  changed_.notify_all();
}

}  // namespace skein::wire
