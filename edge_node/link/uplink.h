// Uplink: how the rooms of a device speak with its coordinator, whatever the link is doing. Owned
// by the app (CoordinatorLink) or by a test; loop thread only.
#pragma once

#include "common/wire/peer.h"

namespace skein {

class Uplink {
 public:
  virtual ~Uplink() = default;
  virtual bool connected() const = 0;
  // True as soon as the link stands, false when `deadline` came first.
  virtual Task<bool> wait_connected(Instant deadline) = 0;
  // As Peer's; Errc::kUnavailable at once while there is no link. A call lives and dies with the
  // link it began on.
  virtual Task<Result<Envelope>> call(Message request, Buffer payload, Instant deadline) = 0;
  virtual Task<Result<Envelope>> call_streaming(Message request, Peer::OnPart on_part,
                                                Duration idle_limit) = 0;
};

// The reply's message as the one expected; anything else is Errc::kCorrupt naming what came.
template <class Expected>
Result<Expected> expect_message(const Envelope& reply) {
  if (const auto* message = std::get_if<Expected>(&reply.message)) return *message;
  return fail(Errc::kCorrupt, "unexpected reply " + std::string(name_of(reply.message)),
              "coordinator link");
}

}  // namespace skein
