#include "common/wire/peer.h"

#include "common/base/check.h"
#include "common/wire/internal/peer_core.h"

namespace skein {

Peer::Peer(Env env, std::unique_ptr<Stream> stream, RequestHandler* handler, PeerOptions options)
    : core_(std::make_shared<Core>(env, std::move(stream), handler, options)) {}

Peer::~Peer() { close(); }

Task<Result<void>> Peer::run() { return Core::run(core_); }

void Peer::close() { core_->close(); }
bool Peer::open() const { return core_->open(); }
const PeerIdentity& Peer::identity() const { return core_->identity(); }
const Peer::Counters& Peer::counters() const { return core_->counters(); }

Task<Result<Envelope>> Peer::call(Message request, Buffer payload, Instant deadline) {
  CHECK(payload.size() <= kMaxPayloadBytes);
  return Core::call(core_, Envelope{std::move(request), std::move(payload)}, deadline);
}

Task<Result<Envelope>> Peer::call_streaming(Message request, OnPart on_part, Duration idle_limit) {
  return Core::call_streaming(core_, Envelope{std::move(request), {}}, std::move(on_part),
                              idle_limit);
}

}  // namespace skein
