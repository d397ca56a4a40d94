#include <boost/asio/this_coro.hpp>

#include "common/base/check.h"
#include "common/wire/internal/peer_core.h"

namespace skein {

using wire::Frame;
using wire::FrameKind;

namespace {
constexpr std::size_t kReadBytes = 64 << 10;
constexpr double kJitter = 0.1;
}  // namespace

Peer::Core::Core(Env env, std::unique_ptr<Stream> stream, RequestHandler* handler,
                 PeerOptions options)
    : env_(env),
      stream_(std::move(stream)),
      handler_(handler),
      options_(options),
      ended_signal_(env.executor),
      changed_(env.executor),
      last_heard_(env.clock.now()),
      outbox_(env.executor),
      tasks_(env.executor) {
  // Queued before anything else can be: a call may be made before run() has begun.
  answer_at_once(wire::hello_frame());
}

void Peer::Core::close() {
  end(Error{Errc::kCancelled, "this side closed the link", {}, {}}, true);
}

void Peer::Core::end(Error reason, bool tell_other_side) {
  if (ended_) return;
  ended_ = true;
  tell_other_side_ = tell_other_side;
  reason_ = std::move(reason);
  outbox_.close();
  for (const auto& [id, calling] : callings_) {
    if (!calling->outcome) calling->outcome = tl::unexpected(link_ended());
    calling->changed.notify_all();
  }
  for (const auto& [id, serving] : servings_) serving->credit_given.notify_all();
  changed_.notify_all();
  ended_signal_.notify_all();
}

Error Peer::Core::link_ended() const {
  return Error{Errc::kUnavailable, "the link ended: " + to_string(*reason_), {}, {}};
}

Task<Result<void>> Peer::Core::run(Self self) {
  CHECK(!self->started_);
  self->started_ = true;
  // Cancelled or not, everything has unwound when this returns; so no throwing in between.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
  bool given_up = cancellation.cancelled() != boost::asio::cancellation_type::none;
  if (given_up) self->end(Error{Errc::kCancelled, "this side gave up the link", {}, {}}, false);
  if (!self->ended_) {
    self->last_heard_ = self->env_.clock.now();
    self->writer_ended_ = false;
    self->tasks_.spawn(read_frames(self));
    self->tasks_.spawn(write_frames(self));
    self->tasks_.spawn(watch_silence(self));
  }
  while (!self->ended_) {
    co_await self->ended_signal_.wait();
    given_up = !self->ended_;  // nobody notifies without ending: this is a cancellation
    if (given_up) self->end(Error{Errc::kCancelled, "this side gave up the link", {}, {}}, false);
  }
  co_await self->unwind(given_up);
  co_await boost::asio::this_coro::throw_if_cancelled(true);
  const bool closed_here = self->reason_->code == Errc::kCancelled && !given_up;
  if (closed_here) co_return Result<void>{};
  co_return tl::unexpected(*self->reason_);
}

Task<void> Peer::Core::unwind(bool given_up) {
  std::vector<std::shared_ptr<Serving>> servings;
  for (const auto& [id, serving] : servings_) servings.push_back(serving);
  for (const auto& serving : servings) {
    serving->cancelled = true;
    serving->task.cancel();
  }
  servings.clear();
  if (tell_other_side_ && !given_up) co_await say_goodbye();
  stream_->close();
  co_await tasks_.stop();
  while (!servings_.empty()) co_await changed_.wait();
}

// The writer may be in the middle of a frame: let it finish, then say why the link ends.
Task<void> Peer::Core::say_goodbye() {
  const Instant deadline = env_.clock.now() + kGoodbyeLimit;
  Task<Result<void>> writer = writer_ended(shared_from_this());
  const auto free = co_await with_deadline(env_.clock, deadline, "goodbye", std::move(writer));
  if (!free) co_return;
  Frame frame;
  frame.kind = FrameKind::kGoodbye;
  std::string words = to_string(*reason_);
  words.resize(std::min(words.size(), kMaxText));
  frame.payload = to_buffer(words);
  const Buffer bytes = encode_frame(frame);
  const auto written = co_await write_in_time(bytes, kGoodbyeLimit);
  if (!written) env_.log.debug("goodbye not sent", {{"reason", to_string(written.error())}});
}

Task<Result<void>> Peer::Core::writer_ended(Self self) {
  while (!self->writer_ended_) co_await self->changed_.wait();
  co_return Result<void>{};
}

Task<Result<void>> Peer::Core::write_in_time(ByteView frame, Duration limit) {
  Task<Result<void>> write = stream_->write_all(frame);
  const Instant deadline = env_.clock.now() + limit;
  CO_TRY_VOID(co_await with_deadline(env_.clock, deadline, "writing a frame", std::move(write)));
  counters_.bytes_out += frame.size();
  ++counters_.frames_out;
  co_return Result<void>{};
}

Task<void> Peer::Core::write_frames(Self self) {
  while (true) {
    const std::optional<Buffer> frame = co_await self->outbox_.next();
    if (!frame) break;
    const auto written = co_await self->write_in_time(*frame, self->options_.write_limit);
    if (!written) {
      Error reason = written.error();
      reason.code = Errc::kUnavailable;
      self->end(std::move(reason), false);
      co_return;  // writer_ended_ stays false: nothing more can be said on this link
    }
  }
  self->writer_ended_ = true;
  self->changed_.notify_all();
}

Task<void> Peer::Core::read_frames(Self self) {
  Buffer buffer(kReadBytes);
  wire::FrameReader reader;
  while (!self->ended_) {
    const auto count = co_await self->stream_->read_some(buffer);
    if (!count) {
      Error reason = within("reading the link", count.error());
      reason.code = Errc::kUnavailable;
      self->end(std::move(reason), false);
      co_return;
    }
    if (*count == 0) {
      self->end(Error{Errc::kUnavailable, "the other side closed the link", {}, {}}, false);
      co_return;
    }
    self->last_heard_ = self->env_.clock.now();
    self->counters_.bytes_in += *count;
    auto frames = reader.feed(ByteView(buffer).first(*count));
    if (!frames) {
      self->end(frames.error(), true);
      co_return;
    }
    for (Frame& frame : *frames) {
      if (self->ended_) co_return;
      ++self->counters_.frames_in;
      self->receive(std::move(frame));
    }
  }
}

Task<void> Peer::Core::watch_silence(Self self) {
  Clock& clock = self->env_.clock;
  Instant last_ping = clock.now();
  while (!self->ended_) {
    const Duration pause = self->env_.random.jitter(self->options_.keep_alive, kJitter);
    const Instant ping_at = std::max(last_ping, self->last_heard_) + pause;
    const Instant dead_at = self->last_heard_ + self->options_.silence_limit;
    co_await clock.sleep_until(std::min(ping_at, dead_at));
    const Instant now = clock.now();
    if (now >= self->last_heard_ + self->options_.silence_limit) {
      self->end(Error{Errc::kUnavailable, "nothing was heard from the other side in time", {}, {}},
                false);
      co_return;
    }
    if (now < ping_at || self->last_heard_ > ping_at - pause) continue;
    last_ping = now;
    Frame ping;
    ping.kind = FrameKind::kPing;
    self->answer_at_once(ping);
  }
}

void Peer::Core::answer_at_once(const Frame& frame) {
  if (outbox_.push(encode_frame(frame))) return;
  end(Error{Errc::kUnavailable, "the other side asks without reading the answers", {}, {}}, false);
}

}  // namespace skein
