#include "common/env/real/internal/real_network.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/env/real/internal/listener.h"
#include "common/env/real/internal/socket_stream.h"

namespace skein::real {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

Task<Result<std::vector<tcp::endpoint>>> resolve(asio::io_context& loop, Endpoint to) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(to.host, error);
  if (!error) co_return std::vector{tcp::endpoint(address, to.port)};
  tcp::resolver resolver(loop);
  const auto [failed, found] = co_await resolver.async_resolve(to.host, std::to_string(to.port),
                                                               asio::as_tuple(asio::use_awaitable));
  if (failed) {
    co_return fail(Errc::kUnavailable, "the host name is not known: " + failed.message(),
                   to_string(to), "check the name and the name server");
  }
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  co_return endpoints;
}

}  // namespace

Task<Result<std::unique_ptr<Stream>>> RealNetwork::dial(Endpoint to,
                                                        std::shared_ptr<const TlsOptions> tls) {
  CO_TRY(const auto endpoints, co_await resolve(loop_, to));
  tcp::socket socket(loop_);
  const auto [error, reached] =
      co_await asio::async_connect(socket, endpoints, asio::as_tuple(asio::use_awaitable));
  if (error == asio::error::operation_aborted) {
    co_return fail(Errc::kCancelled, "connecting was cancelled", to_string(to));
  }
  if (error) {
    co_return fail(Errc::kUnavailable, "no connection: " + error.message(), to_string(to),
                   "check that the other side runs and can be reached");
  }
  prepare_socket(socket);
  PeerIdentity identity;
  identity.address = to_string(to);
  if (!tls) co_return make_plain_stream(std::move(socket), std::move(identity));
  CO_TRY(const auto session, TlsSession::make(std::move(socket), std::move(tls),
                                              CertificateUse::kServer, clock_.wall_now()));
  auto handshake = co_await session->handshake();
  if (!handshake) {
    if (handshake.error().where.empty()) handshake.error().where = to_string(to);
    co_return tl::unexpected<Error>(std::move(handshake.error()));
  }
  handshake->address = identity.address;
  co_return make_tls_stream(session, std::move(*handshake));
}

Task<Result<std::unique_ptr<Stream>>> RealNetwork::connect(Endpoint to,
                                                           std::shared_ptr<const TlsOptions> tls) {
  std::string what = "connecting to " + to_string(to);
  Task<Result<std::unique_ptr<Stream>>> work = dial(std::move(to), std::move(tls));
  co_return co_await with_deadline(clock_, clock_.now() + kHandshakeLimit, std::move(what),
                                   std::move(work));
}

Result<std::unique_ptr<Listener>> RealNetwork::listen(Endpoint at,
                                                      std::shared_ptr<const TlsOptions> tls) {
  return make_listener(loop_, clock_, log_, at, std::move(tls));
}

}  // namespace skein::real
