// Peer::Core: what a Peer is inside. Shared by the Peer and by every coroutine of the link, so that
// none of them outlives it. Loop thread only.
//
// The idea. Three tasks serve a link: one reads frames and acts on each at once (receive() never
// waits), one writes the outbox, one watches the silence. A caller's coroutine owns its Calling and
// lists it in callings_ while it waits; a request of the other side has a Serving with its own
// TaskGroup, so that one cancel frame unwinds one handler. end() is the only way out: it says why,
// wakes everybody, and run() then waits until all have unwound.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "common/wire/internal/frame.h"
#include "common/wire/internal/outbox.h"
#include "common/wire/peer.h"

namespace skein {

inline constexpr std::size_t kMaxWaitingCalls = 1024;  // for one of our kMaxInFlight places
inline constexpr Duration kCreditLimit = std::chrono::minutes(5);  // a part waits for credit
inline constexpr Duration kGoodbyeLimit = std::chrono::seconds(1);

class Peer::Core : public std::enable_shared_from_this<Peer::Core> {
 public:
  using Self = std::shared_ptr<Core>;
  Core(Env env, std::unique_ptr<Stream> stream, RequestHandler* handler, PeerOptions options);

  static Task<Result<void>> run(Self self);
  static Task<Result<Envelope>> call(Self self, Envelope request, Instant deadline);
  static Task<Result<Envelope>> call_streaming(Self self, Envelope request, OnPart on_part,
                                               Duration idle_limit);
  void close();
  void end(Error reason, bool tell_other_side);
  bool open() const { return !ended_; }
  const PeerIdentity& identity() const { return stream_->peer(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Part {
    Message message;
    Buffer payload;
    std::uint32_t bytes = 0;  // on the wire: what credit counts
  };
  struct Calling {  // a request of ours; lives in its caller's coroutine
    explicit Calling(Executor executor) : changed(std::move(executor)) {}
    std::uint64_t id = 0;  // 0 until it has its place
    bool streaming = false;
    std::deque<Part> parts;
    std::uint32_t uncredited = 0;  // bytes of parts not yet given back
    std::optional<Result<Envelope>> outcome;
    Signal changed;
  };
  struct Serving {  // a request of theirs; shared by the table and its handler's task
    explicit Serving(Executor executor) : task(executor), credit_given(executor) {}
    bool cancelled = false;
    std::uint32_t credit = kCreditWindow;
    TaskGroup task;
    Signal credit_given;
  };
  class Place;   // a Calling's entry in callings_; leaving cancels what is unanswered
  class Ticket;  // a Serving's entry in servings_
  class Sink;    // PartSink of one Serving

  // peer_run.cpp: the link's own tasks
  static Task<void> read_frames(Self self);
  static Task<void> write_frames(Self self);
  static Task<void> watch_silence(Self self);
  Task<Result<void>> write_in_time(ByteView frame, Duration limit);
  Task<void> unwind(bool given_up);
  Task<void> say_goodbye();
  static Task<Result<void>> writer_ended(Self self);
  void answer_at_once(const wire::Frame& frame);

  // peer_receive.cpp: frames that arrive
  void receive(wire::Frame frame);
  void on_request(wire::Frame frame);
  void on_part(wire::Frame frame);
  void on_reply(wire::Frame frame);
  void on_credit(const wire::Frame& frame);
  void on_cancel(const wire::Frame& frame);
  void refuse(std::uint64_t id, Error error);
  void violation(std::string what);
  std::size_t serving_now() const;
  Calling* calling_for(const wire::Frame& frame);
  static Task<void> serve(Self self, std::shared_ptr<Serving> serving,
                          std::unique_ptr<Ticket> ticket, Envelope request);

  // peer_call.cpp: calls of ours
  static Task<Result<void>> begin(Self self, Place& place, Envelope request);
  static Task<Result<Envelope>> exchange(Self self, Envelope request);
  static Task<Result<void>> next_event(Self self, Calling& calling);
  static Task<Result<Envelope>> stream_parts(Self self, Place& place, OnPart on_part,
                                             Duration idle_limit);
  void give_credit(Calling& calling, std::uint32_t bytes);
  Error link_ended() const;

  Env env_;
  std::unique_ptr<Stream> stream_;
  RequestHandler* handler_;
  PeerOptions options_;
  Counters counters_;

  bool started_ = false;
  bool greeted_ = false;
  bool ended_ = false;
  bool tell_other_side_ = false;
  bool writer_ended_ = true;  // until it begins
  std::optional<Error> reason_;
  Signal ended_signal_;
  Signal changed_;  // the writer ended, a Serving left, a place became free
  Instant last_heard_;

  wire::Outbox outbox_;
  std::uint64_t last_id_ = 0;
  std::size_t waiting_calls_ = 0;
  std::map<std::uint64_t, Calling*> callings_;
  std::map<std::uint64_t, std::shared_ptr<Serving>> servings_;
  TaskGroup tasks_;
};

}  // namespace skein
