#include "simulations/world/internal/core.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skein::sim {

namespace asio = boost::asio;

Core::Key Core::schedule(Instant at, Event event) {
  const Key key{std::max(at, now_), queued_++};
  queue_.emplace(key, std::move(event));
  return key;
}

void Core::run_next() {
  auto node = queue_.extract(queue_.begin());
  now_ = node.key().first;
  node.mapped()();
}

Task<void> Core::pass_until(Instant at) {
  auto initiate = [this, at](auto handler) {
    schedule(at, [this, handler = std::move(handler)]() mutable {
      asio::post(loop_, std::move(handler));
    });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate),
                                                                      asio::use_awaitable);
}

void Core::close() {
  std::map<Key, Event> dropped;
  dropped.swap(queue_);
  dropped.clear();
  loop_.drop_tasks();
  queue_.clear();
}

Error dead_epoch_error(const Epoch& epoch) {
  return Error{Errc::kCancelled, "the node is down", epoch.node, {}};
}

}  // namespace skein::sim
