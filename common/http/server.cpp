#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "common/http/internal/server_core.h"

namespace skein {

namespace {
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // after a failed accept
}

HttpServer::HttpServer(Env env, std::unique_ptr<Listener> listener, HttpHandler handler,
                       HttpServerOptions options)
    : core_(std::make_shared<Core>(env, std::move(listener), std::move(handler), options)) {}
HttpServer::~HttpServer() { core_->close(); }
Task<void> HttpServer::run() { return Core::run(core_); }
Task<void> HttpServer::drain(Instant deadline) { return Core::drain(core_, deadline); }
Task<void> HttpServer::stop() { return Core::stop(core_); }
Endpoint HttpServer::local() const { return core_->local(); }
std::size_t HttpServer::in_flight() const { return core_->in_flight(); }

HttpServer::Core::Core(Env env, std::unique_ptr<Listener> listener, HttpHandler handler,
                       HttpServerOptions options)
    : env_(env),
      listener_(std::move(listener)),
      handler_(std::move(handler)),
      options_(options),
      tasks_(env.executor) {}

Task<void> HttpServer::Core::accept_all(Self self) {
  while (!self->draining_) {
    auto accepted = co_await self->listener_->accept();
    if (!accepted && accepted.error().code == Errc::kCancelled) co_return;
    if (!accepted) {
      self->env_.log.warn("accepting failed", {{"reason", to_string(accepted.error())}});
      co_await self->env_.clock.sleep_for(kAcceptPause);
      continue;
    }
    if (self->connections_.size() >= kMaxHttpConnections) {
      self->env_.log.warn("connection refused", {{"open", self->connections_.size()}});
      continue;
    }
    auto connection = std::make_shared<http::Connection>(self->env_, std::move(*accepted));
    const std::uint64_t number = ++self->accepted_;
    self->connections_.emplace(number, connection);
    self->tasks_.spawn(serve(self, number, std::move(connection)));
  }
}

Task<void> HttpServer::Core::run(Self self) {
  try {
    co_await accept_all(self);
    co_await self->tasks_.join();  // after draining: what was begun is answered
  } catch (const boost::system::system_error& error) {
    if (error.code() != boost::asio::error::operation_aborted) throw;
  }
  // Cancelled or not, connections unwind before this returns.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_await self->tasks_.stop();
  co_await boost::asio::this_coro::throw_if_cancelled(true);
}

void HttpServer::Core::close() {
  draining_ = true;
  listener_->close();
  tasks_.cancel();
}

Task<void> HttpServer::Core::stop(Self self) {
  self->close();
  co_await self->tasks_.stop();
}

Task<Result<void>> HttpServer::Core::all_ended(Self self) {
  co_await self->tasks_.join();
  co_return Result<void>{};
}

Task<void> HttpServer::Core::drain(Self self, Instant deadline) {
  self->draining_ = true;
  self->listener_->close();
  for (const auto& [number, connection] : self->connections_) connection->interrupt();
  Task<Result<void>> ended = all_ended(self);
  const auto in_time =
      co_await with_deadline(self->env_.clock, deadline, "draining", std::move(ended));
  if (in_time) co_return;
  self->env_.log.warn("answers cut at the end of draining", {{"running", self->in_flight_}});
  co_await self->tasks_.stop();
}

}  // namespace skein
