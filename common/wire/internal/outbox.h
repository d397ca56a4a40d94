// Outbox: the frames of one link that wait for its one writer. Bounded: senders wait for room, and
// answers the reader must give at once (credit, pong, refusals) are counted against a limit of
// their own, so that a side that asks without reading cannot fill our memory. Loop thread only.
#pragma once

#include <deque>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/env/task.h"

namespace skein::wire {

inline constexpr std::size_t kMaxQueuedBytes = 4U << 20;  // of frames whose senders can wait
inline constexpr std::size_t kMaxQueuedFrames = 256;
inline constexpr std::size_t kMaxQueuedAnswers = 1024;  // of frames that nobody waits with

class Outbox {
 public:
  explicit Outbox(Executor executor) : changed_(std::move(executor)) {}

  // Waits for room. Errc::kUnavailable once the outbox is closed.
  Task<Result<void>> send(Buffer frame);
  // At once; false when the limit of such frames is reached (the link should end).
  bool push(Buffer frame);
  // The next frame to write, or nothing once closed. One writer.
  Task<std::optional<Buffer>> next();
  void close();  // drops what waits
  bool closed() const { return closed_; }

 private:
  bool has_room() const;

  std::deque<Buffer> frames_;
  std::size_t bytes_ = 0;
  bool closed_ = false;
  Signal changed_;
};

}  // namespace skein::wire
