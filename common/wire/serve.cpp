#include "common/wire/serve.h"

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

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

Task<void> accept_links(Env env, Listener& listener, HandlerFor handler_for, PeerOptions options,
                        TaskGroup& links) {
  while (true) {
    auto accepted = co_await listener.accept();
    if (!accepted && accepted.error().code == Errc::kCancelled) co_return;
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
}

}  // namespace

Task<void> serve_links(Env env, Listener& listener, HandlerFor handler_for, PeerOptions options) {
  TaskGroup links(env.executor);
  Task<void> accepting = accept_links(env, listener, std::move(handler_for), options, links);
  try {
    co_await std::move(accepting);
  } catch (const boost::system::system_error& error) {
    if (error.code() != boost::asio::error::operation_aborted) throw;
  }
  // Cancelled or not, the links unwind before this returns.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_await links.stop();
  co_await boost::asio::this_coro::throw_if_cancelled(true);
}

}  // namespace skein
