// Peer: one end of a device-coordinator link; the same class on both. Requests and replies with
// ids, deadlines, bounded in-flight requests, cancellation, credit for streamed parts, keep-alive
// with jitter. Made and used on the Env's loop thread. Frames: schemas/README.md.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/env/env.h"
#include "common/env/network.h"
#include "common/wire/messages.h"

namespace skein {

struct Envelope {
  Message message;
  Buffer payload;  // up to kMaxPayloadBytes
};

// Where a handler sends the parts of a streamed answer. send() waits for the other side's credit.
class PartSink {
 public:
  virtual ~PartSink() = default;
  virtual Task<Result<void>> send(Message part, ByteView payload) = 0;
};

// Answers requests. Called for several requests at once (up to kMaxInFlight); must be safe to run
// twice for a repeated request. An error becomes ErrorReply; the link goes on.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  virtual Task<Result<Envelope>> handle(const PeerIdentity& from, Envelope request,
                                        PartSink& parts) = 0;
};

inline constexpr std::size_t kMaxInFlight =
    32;  // requests each way; more wait (ours) or are refused (theirs)
inline constexpr std::uint32_t kCreditWindow = 4U << 20;  // bytes of parts under way per request

struct PeerOptions {
  Duration keep_alive = std::chrono::seconds(15);     // +-10 %; a ping when nothing was heard
  Duration silence_limit = std::chrono::seconds(40);  // nothing heard for so long: the link is dead
  Duration write_limit = std::chrono::seconds(30);    // one frame must leave within
};

class Peer {
 public:
  // `handler` may be nullptr (every request is refused) and must outlive the peer otherwise.
  Peer(Env env, std::unique_ptr<Stream> stream, RequestHandler* handler, PeerOptions options);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Reads, writes and keeps alive until the link ends or close(); then every waiting call has
  // failed with kUnavailable and every handler was cancelled. The reason is returned. Call once.
  Task<Result<void>> run();
  void close();
  bool open() const;
  const PeerIdentity& identity() const;

  // ErrorReply from the other side becomes this Result's error. Deadline passed: kDeadline, and the
  // other side is told to cancel.
  Task<Result<Envelope>> call(Message request, Buffer payload, Instant deadline);
  // As call; `on_part` is awaited for each part in order, and credit is given back after it
  // returns. An error from on_part cancels the request and is returned. `idle_limit` bounds the
  // wait per part.
  using OnPart = std::function<Task<Result<void>>(Message part, Buffer payload)>;
  Task<Result<Envelope>> call_streaming(Message request, OnPart on_part, Duration idle_limit);

  struct Counters {
    std::uint64_t bytes_in = 0, bytes_out = 0, frames_in = 0, frames_out = 0;
  };
  const Counters& counters() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace skein
