#include "common/env/real/internal/socket_stream.h"

#include <netinet/tcp.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "common/base/check.h"

namespace skein::real {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

// Polite closing of TLS: the end is announced, the peer gets this long to announce its own.
constexpr auto kLinger = std::chrono::seconds(1);

class PlainLink {
 public:
  explicit PlainLink(tcp::socket socket) : socket_(std::move(socket)) {}
  tcp::socket& stream() { return socket_; }
  tcp::socket& socket() { return socket_; }

 private:
  tcp::socket socket_;
};

template <class Link>
struct Connection {
  std::shared_ptr<Link> link;
  PeerIdentity identity;
  bool closed = false;
  bool writing = false;
  bool broken = false;  // a write was cut short: what the peer would read next is garbage
};

Error link_error(const boost::system::error_code& error, const PeerIdentity& peer, bool closed) {
  if (closed || error == asio::error::operation_aborted) {
    return Error{Errc::kCancelled, "the connection was closed on this side", peer.address, {}};
  }
  if (is_refusal(error)) {
    return Error{Errc::kRefused, "the peer refused our certificate: " + error.message(),
                 peer.address, "enrol again"};
  }
  return Error{Errc::kUnavailable, "the connection broke: " + error.message(), peer.address, {}};
}

template <class Link>
Task<Result<std::size_t>> read_from(std::shared_ptr<Connection<Link>> connection,
                                    MutableByteView into) {
  CHECK(!into.empty());
  const auto link = connection->link;
  const auto [error, got] = co_await link->stream().async_read_some(
      asio::buffer(into.data(), into.size()), asio::as_tuple(asio::use_awaitable));
  if (error && (got == 0 || error != asio::error::eof)) {
    if (error == asio::error::eof && !connection->closed) co_return std::size_t{0};
    co_return tl::unexpected<Error>(link_error(error, connection->identity, connection->closed));
  }
  co_return got;
}

template <class Link>
Task<Result<void>> write_to(std::shared_ptr<Connection<Link>> connection, ByteView bytes) {
  CHECK(!connection->writing);  // one writer at a time
  if (connection->broken || connection->closed) {
    const boost::system::error_code error = asio::error::broken_pipe;
    co_return tl::unexpected<Error>(link_error(error, connection->identity, connection->closed));
  }
  connection->writing = true;
  const auto link = connection->link;
  const auto [error, put] =
      co_await asio::async_write(link->stream(), asio::buffer(bytes.data(), bytes.size()),
                                 asio::as_tuple(asio::use_awaitable));
  connection->writing = false;
  if (!error) co_return Result<void>{};
  connection->broken = true;
  co_return tl::unexpected<Error>(link_error(error, connection->identity, connection->closed));
}

Task<void> say_goodbye(std::shared_ptr<TlsSession> session) {
  boost::system::error_code ignored;
  asio::steady_timer timer(session->socket().get_executor(), kLinger);
  timer.async_wait([session](const boost::system::error_code& error) {
    boost::system::error_code unimportant;
    if (!error) session->socket().close(unimportant);
  });
  co_await session->stream().async_shutdown(asio::as_tuple(asio::use_awaitable));
  timer.cancel();
  session->socket().close(ignored);
}

void close_link(Connection<PlainLink>& connection) {
  boost::system::error_code ignored;
  connection.link->socket().close(ignored);
}

void close_link(Connection<TlsSession>& connection) {
  boost::system::error_code ignored;
  if (connection.broken || connection.writing) {
    connection.link->socket().close(ignored);
    return;
  }
  connection.link->socket().cancel(ignored);
  asio::co_spawn(connection.link->socket().get_executor(), say_goodbye(connection.link),
                 asio::detached);
}

template <class Link>
class SocketStream final : public Stream {
 public:
  SocketStream(std::shared_ptr<Link> link, PeerIdentity identity)
      : connection_(std::make_shared<Connection<Link>>()) {
    connection_->link = std::move(link);
    connection_->identity = std::move(identity);
  }
  ~SocketStream() override { SocketStream::close(); }
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;

  Task<Result<std::size_t>> read_some(MutableByteView into) override {
    return read_from(connection_, into);
  }
  Task<Result<void>> write_all(ByteView bytes) override { return write_to(connection_, bytes); }
  void close() override {
    if (std::exchange(connection_->closed, true)) return;
    close_link(*connection_);
  }
  const PeerIdentity& peer() const override { return connection_->identity; }

 private:
  std::shared_ptr<Connection<Link>> connection_;
};

}  // namespace

std::unique_ptr<Stream> make_plain_stream(tcp::socket socket, PeerIdentity identity) {
  return std::make_unique<SocketStream<PlainLink>>(std::make_shared<PlainLink>(std::move(socket)),
                                                   std::move(identity));
}

std::unique_ptr<Stream> make_tls_stream(std::shared_ptr<TlsSession> session,
                                        PeerIdentity identity) {
  return std::make_unique<SocketStream<TlsSession>>(std::move(session), std::move(identity));
}

void prepare_socket(tcp::socket& socket) {
  using Seconds = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
  using Interval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  socket.set_option(Seconds(30), ignored);
  socket.set_option(Interval(10), ignored);
}

std::string address_of_peer(const tcp::socket& socket) {
  boost::system::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  return error ? "unknown" : to_string(Endpoint{peer.address().to_string(), peer.port()});
}

}  // namespace skein::real
