// serve_links: the accept loop of the side that is dialled. Loop thread only.
#pragma once

#include <functional>

#include "common/env/env.h"
#include "common/env/network.h"
#include "common/wire/peer.h"

namespace skein {

inline constexpr std::size_t kMaxLinks = 1024;  // more are closed at once

// The handler for a peer, alive until serve_links has returned; nullptr closes the link.
using HandlerFor = std::function<RequestHandler*(const PeerIdentity& peer)>;

// Runs a Peer on every stream the listener accepts, until the listener is closed or this task is
// cancelled; then every link has unwound. The listener outlives it.
Task<void> serve_links(Env env, Listener& listener, HandlerFor handler_for, PeerOptions options);

}  // namespace skein
