#include <algorithm>

#include "common/base/check.h"
#include "common/wire/internal/peer_core.h"

namespace skein {

using wire::Frame;
using wire::FrameKind;

// A Serving's entry in the table: gone when the handler has answered or unwound.
class Peer::Core::Ticket {
 public:
  Ticket(Self core, std::uint64_t id) : core_(std::move(core)), id_(id) {}
  ~Ticket() {
    core_->servings_.erase(id_);
    core_->changed_.notify_all();
  }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  std::uint64_t id() const { return id_; }

 private:
  Self core_;
  std::uint64_t id_;
};

class Peer::Core::Sink final : public PartSink {
 public:
  Sink(Self core, std::shared_ptr<Serving> serving, std::uint64_t id)
      : core_(std::move(core)), serving_(std::move(serving)), id_(id) {}

  Task<Result<void>> send(Message part, ByteView payload) override {
    CHECK(payload.size() <= kMaxPayloadBytes);
    Frame frame{FrameKind::kPart, type_of(part), id_, encode_message(part), to_buffer(payload)};
    const auto bytes = static_cast<std::uint32_t>(size_on_wire(frame));
    if (serving_->credit < bytes) {
      const Instant deadline = core_->env_.clock.now() + kCreditLimit;
      Task<Result<void>> credit = wait_for_credit(core_, serving_, bytes);
      CO_TRY_VOID(co_await with_deadline(core_->env_.clock, deadline, "waiting for credit",
                                         std::move(credit)));
    }
    if (core_->ended_) co_return tl::unexpected(core_->link_ended());
    serving_->credit -= bytes;
    co_return co_await core_->outbox_.send(encode_frame(frame));
  }

 private:
  static Task<Result<void>> wait_for_credit(Self core, std::shared_ptr<Serving> serving,
                                            std::uint32_t bytes) {
    while (serving->credit < bytes && !core->ended_) co_await serving->credit_given.wait();
    co_return Result<void>{};
  }

  Self core_;
  std::shared_ptr<Serving> serving_;
  std::uint64_t id_;
};

void Peer::Core::violation(std::string what) {
  end(Error{Errc::kCorrupt, "the other side broke the protocol: " + what, {}, {}}, true);
}

void Peer::Core::receive(Frame frame) {
  if (!greeted_) {
    if (const auto hello = wire::check_hello(frame); !hello) return end(hello.error(), true);
    greeted_ = true;
    return;
  }
  switch (frame.kind) {
    case FrameKind::kHello:
      return violation("a second greeting");
    case FrameKind::kRequest:
      return on_request(std::move(frame));
    case FrameKind::kReply:
      return on_reply(std::move(frame));
    case FrameKind::kPart:
      return on_part(std::move(frame));
    case FrameKind::kCredit:
      return on_credit(frame);
    case FrameKind::kCancel:
      return on_cancel(frame);
    case FrameKind::kPing: {
      Frame pong;
      pong.kind = FrameKind::kPong;
      return answer_at_once(pong);
    }
    case FrameKind::kPong:
      return;
    case FrameKind::kGoodbye:
      return end(Error{Errc::kUnavailable,
                       "the other side closed the link",
                       {},
                       std::string(as_text(frame.payload))},
                 false);
  }
}

// Cancelled handlers that still unwind do not count: their caller has freed the place already.
std::size_t Peer::Core::serving_now() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(servings_, [](const auto& entry) { return !entry.second->cancelled; }));
}

void Peer::Core::on_request(Frame frame) {
  if (frame.id == 0 || servings_.contains(frame.id)) return violation("a request id in use");
  if (serving_now() >= kMaxInFlight || servings_.size() >= 2 * kMaxInFlight) {
    return refuse(
        frame.id,
        Error{
            Errc::kOutOfRoom, "too many requests at once on this link", {}, "wait for an answer"});
  }
  auto message = decode_message(frame.type, frame.message);
  if (!message) return refuse(frame.id, message.error());
  if (handler_ == nullptr) {
    return refuse(frame.id, Error{Errc::kRefused, "this side takes no requests", {}, {}});
  }
  auto serving = std::make_shared<Serving>(env_.executor);
  servings_.emplace(frame.id, serving);
  auto ticket = std::make_unique<Ticket>(shared_from_this(), frame.id);
  Envelope request{std::move(*message), std::move(frame.payload)};
  serving->task.spawn(serve(shared_from_this(), serving, std::move(ticket), std::move(request)));
}

Task<void> Peer::Core::serve(Self self, std::shared_ptr<Serving> serving,
                             std::unique_ptr<Ticket> ticket, Envelope request) {
  const std::uint64_t id = ticket->id();
  Sink sink(self, serving, id);
  auto answer = co_await self->handler_->handle(self->identity(), std::move(request), sink);
  if (serving->cancelled || self->ended_) co_return;
  Envelope reply = answer ? std::move(*answer) : Envelope{ErrorReply{answer.error()}, {}};
  CHECK(reply.payload.size() <= kMaxPayloadBytes);
  const Frame frame{FrameKind::kReply, type_of(reply.message), id, encode_message(reply.message),
                    std::move(reply.payload)};
  ticket.reset();  // before the answer leaves: whoever has it may ask again
  Task<Result<void>> sent = self->outbox_.send(encode_frame(frame));
  if (!co_await std::move(sent)) co_return;  // the link ended: its caller knows
}

void Peer::Core::refuse(std::uint64_t id, Error error) {
  const Message reply = ErrorReply{std::move(error)};
  answer_at_once(Frame{FrameKind::kReply, type_of(reply), id, encode_message(reply), {}});
}

// nullptr: the call was cancelled or has ended, and what still comes for it is dropped.
Peer::Core::Calling* Peer::Core::calling_for(const Frame& frame) {
  if (frame.id == 0 || frame.id > last_id_) {
    violation("an answer to a request that was never made");
    return nullptr;
  }
  const auto found = callings_.find(frame.id);
  return found == callings_.end() || found->second->outcome ? nullptr : found->second;
}

void Peer::Core::on_part(Frame frame) {
  Calling* calling = calling_for(frame);
  if (calling == nullptr) return;
  const auto bytes = static_cast<std::uint32_t>(size_on_wire(frame));
  if (bytes > kCreditWindow - calling->uncredited) return violation("parts beyond the credit");
  calling->uncredited += bytes;
  if (!calling->streaming) return give_credit(*calling, bytes);  // nobody asked for parts
  auto message = decode_message(frame.type, frame.message);
  if (!message) {
    calling->outcome = tl::unexpected(message.error());
    answer_at_once(Frame{FrameKind::kCancel, 0, frame.id, {}, {}});
  } else {
    calling->parts.push_back(Part{std::move(*message), std::move(frame.payload), bytes});
  }
  calling->changed.notify_all();
}

void Peer::Core::on_reply(Frame frame) {
  Calling* calling = calling_for(frame);
  if (calling == nullptr) return;
  auto message = decode_message(frame.type, frame.message);
  if (!message) {
    calling->outcome = tl::unexpected(message.error());
  } else if (auto* refusal = std::get_if<ErrorReply>(&*message)) {
    calling->outcome = tl::unexpected(std::move(refusal->error));
  } else {
    calling->outcome = Envelope{std::move(*message), std::move(frame.payload)};
  }
  calling->changed.notify_all();
}

void Peer::Core::on_credit(const Frame& frame) {
  const auto found = servings_.find(frame.id);
  if (found == servings_.end()) return;  // answered meanwhile
  if (frame.payload.size() != 4) return violation("credit without an amount");
  const auto bytes = load_le<std::uint32_t>(frame.payload, 0);
  Serving& serving = *found->second;
  if (bytes > kCreditWindow - serving.credit) return violation("credit beyond the window");
  serving.credit += bytes;
  serving.credit_given.notify_all();
}

void Peer::Core::on_cancel(const Frame& frame) {
  const auto found = servings_.find(frame.id);
  if (found == servings_.end()) return;
  const std::shared_ptr<Serving> serving = found->second;
  serving->cancelled = true;
  serving->task.cancel();
}

}  // namespace skein
