#include "common/base/check.h"
#include "common/wire/internal/peer_core.h"

namespace skein {

using wire::Frame;
using wire::FrameKind;

// A call's place among the kMaxInFlight, from begin() to the end of its coroutine. Leaving without
// an answer tells the other side to stop.
class Peer::Core::Place {
 public:
  explicit Place(Self core) : core_(std::move(core)), calling_(core_->env_.executor) {}
  ~Place() {
    if (calling_.id == 0) return;
    core_->callings_.erase(calling_.id);
    core_->changed_.notify_all();
    if (calling_.outcome || core_->ended_) return;
    core_->answer_at_once(Frame{FrameKind::kCancel, 0, calling_.id, {}, {}});
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void take() {
    calling_.id = ++core_->last_id_;
    core_->callings_.emplace(calling_.id, &calling_);
  }
  Calling& calling() { return calling_; }

 private:
  Self core_;
  Calling calling_;
};

namespace {
struct Counted {  // one more, until the end of the scope
  explicit Counted(std::size_t& number) : number_(number) { ++number_; }
  ~Counted() { --number_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  std::size_t& number_;
};
}  // namespace

Task<Result<void>> Peer::Core::begin(Self self, Place& place, Envelope request) {
  if (self->waiting_calls_ >= kMaxWaitingCalls) {
    co_return fail(Errc::kOutOfRoom, "too many calls wait for this link");
  }
  {
    const Counted waiting(self->waiting_calls_);
    while (!self->ended_ && self->callings_.size() >= kMaxInFlight) {
      co_await self->changed_.wait();
    }
  }
  if (self->ended_) co_return tl::unexpected(self->link_ended());
  place.take();
  const Frame frame{FrameKind::kRequest, type_of(request.message), place.calling().id,
                    encode_message(request.message), std::move(request.payload)};
  Task<Result<void>> sent = self->outbox_.send(encode_frame(frame));
  if (!co_await std::move(sent)) co_return tl::unexpected(self->link_ended());
  co_return Result<void>{};
}

Task<Result<void>> Peer::Core::next_event(Self self, Calling& calling) {
  while (calling.parts.empty() && !calling.outcome) co_await calling.changed.wait();
  co_return Result<void>{};
}

Task<Result<Envelope>> Peer::Core::exchange(Self self, Envelope request) {
  Place place(self);
  CO_TRY_VOID(co_await begin(self, place, std::move(request)));
  CO_TRY_VOID(co_await next_event(self, place.calling()));
  co_return std::move(*place.calling().outcome);
}

Task<Result<Envelope>> Peer::Core::call(Self self, Envelope request, Instant deadline) {
  std::string what = "a call of " + std::string(name_of(request.message));
  Task<Result<Envelope>> work = exchange(self, std::move(request));
  co_return co_await with_deadline(self->env_.clock, deadline, std::move(what), std::move(work));
}

Task<Result<Envelope>> Peer::Core::call_streaming(Self self, Envelope request, OnPart on_part,
                                                  Duration idle_limit) {
  Clock& clock = self->env_.clock;
  Place place(self);
  place.calling().streaming = true;
  Task<Result<void>> begun = begin(self, place, std::move(request));
  CO_TRY_VOID(co_await with_deadline(clock, clock.now() + idle_limit, "sending a request",
                                     std::move(begun)));
  co_return co_await stream_parts(self, place, std::move(on_part), idle_limit);
}

Task<Result<Envelope>> Peer::Core::stream_parts(Self self, Place& place, OnPart on_part,
                                                Duration idle_limit) {
  Clock& clock = self->env_.clock;
  Calling& calling = place.calling();
  while (true) {
    Task<Result<void>> event = next_event(self, calling);
    CO_TRY_VOID(co_await with_deadline(clock, clock.now() + idle_limit, "waiting for a part",
                                       std::move(event)));
    if (calling.parts.empty()) co_return std::move(*calling.outcome);
    Part part = std::move(calling.parts.front());
    calling.parts.pop_front();
    Task<Result<void>> taken = on_part(std::move(part.message), std::move(part.payload));
    CO_TRY_VOID(co_await std::move(taken));
    self->give_credit(calling, part.bytes);
  }
}

void Peer::Core::give_credit(Calling& calling, std::uint32_t bytes) {
  calling.uncredited -= bytes;
  if (calling.outcome || ended_) return;
  Frame frame{FrameKind::kCredit, 0, calling.id, {}, {}};
  append_le(frame.payload, bytes);
  answer_at_once(frame);
}

}  // namespace skein
