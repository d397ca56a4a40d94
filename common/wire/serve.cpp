#include "common/wire/serve.h"

#include <boost/asio/this_coro.hpp>

namespace skein {
namespace {

constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // after a failed accept

Task<void> serve_link(Env env, std::unique_ptr<Stream> stream, RequestHandler* handler,
                      PeerOptions options) {
  Peer peer(env, std::move(stream), handler, options);
  const auto ended = co_await peer.run();
  env.log.debug("link ended", {{"peer", peer.identity().name},
                               {"address", peer.identity().address},
                               {"reason", ended ? "closed" : to_string(ended.error())}});
}

}  // namespace

Task<void> serve_links(Env env, Listener& listener, HandlerFor handler_for, PeerOptions options) {
  TaskGroup links(env.executor);
  // Links are unwound before this returns, cancelled or not.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  while (true) {
    auto accepted = co_await listener.accept();
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none) break;
    if (!accepted && accepted.error().code == Errc::kCancelled) break;
    if (!accepted) {
      env.log.warn("accepting a link failed", {{"reason", to_string(accepted.error())}});
      co_await env.clock.sleep_for(kAcceptPause);
      continue;
    }
    std::unique_ptr<Stream> stream = std::move(*accepted);
    RequestHandler* handler = links.running() < kMaxLinks ? handler_for(stream->peer()) : nullptr;
    if (handler == nullptr) {
      env.log.warn("link refused", {{"address", stream->peer().address}});
      continue;
    }
    links.spawn(serve_link(env, std::move(stream), handler, options));
  }
  co_await links.stop();
  co_await boost::asio::this_coro::throw_if_cancelled(true);
}

}  // namespace skein
