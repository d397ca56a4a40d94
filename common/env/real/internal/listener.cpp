#include "common/env/real/internal/listener.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>

#include "common/env/real/internal/real_network.h"
#include "common/env/real/internal/socket_stream.h"

namespace skein::real {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr Duration kPauseAfterFailure = std::chrono::milliseconds(100);

using Admitted = Result<std::unique_ptr<Stream>>;

struct Door {
  Door(asio::io_context& l, Clock& c, Log& g, std::shared_ptr<const TlsOptions> t)
      : loop(l),
        clock(c),
        log(g),
        tls(std::move(t)),
        acceptor(l),
        changed(l.get_executor()),
        tasks(l.get_executor()) {}
  asio::io_context& loop;
  Clock& clock;
  Log& log;
  std::shared_ptr<const TlsOptions> tls;
  tcp::acceptor acceptor;
  Signal changed;  // something admitted, taken, refused or closed
  std::deque<std::unique_ptr<Stream>> admitted;
  std::size_t in_handshake = 0;
  bool closed = false;
  TaskGroup tasks;
};

Task<Admitted> shake_hands(std::shared_ptr<TlsSession> session, std::string address) {
  CO_TRY(PeerIdentity identity, co_await session->handshake());
  identity.address = std::move(address);
  co_return make_tls_stream(std::move(session), std::move(identity));
}

Task<Admitted> admit(std::shared_ptr<Door> door, tcp::socket socket, std::string address) {
  PeerIdentity identity;
  identity.address = address;
  if (!door->tls) co_return make_plain_stream(std::move(socket), std::move(identity));
  CO_TRY(auto session, TlsSession::make(std::move(socket), door->tls, CertificateUse::kDevice,
                                        door->clock.wall_now()));
  const Instant deadline = door->clock.now() + RealNetwork::kHandshakeLimit;
  Task<Admitted> work = shake_hands(std::move(session), std::move(address));
  co_return co_await with_deadline(door->clock, deadline, "the handshake", std::move(work));
}

Task<void> greet(std::shared_ptr<Door> door, tcp::socket socket) {
  struct Place {
    Door& door;
    ~Place() {
      --door.in_handshake;
      door.changed.notify_all();
    }
  };
  const Place place{*door};
  prepare_socket(socket);
  const std::string address = address_of_peer(socket);
  Task<Admitted> admitting = admit(door, std::move(socket), address);
  Admitted stream = co_await std::move(admitting);
  if (!stream) {
    door->log.warn("peer refused", {{"peer", address}, {"why", to_string(stream.error())}});
  } else if (!door->closed) {
    door->admitted.push_back(std::move(*stream));
  }
}

Task<void> accept_all(std::shared_ptr<Door> door) {
  while (!door->closed) {
    if (door->in_handshake + door->admitted.size() >= RealNetwork::kMaxHandshakes) {
      co_await door->changed.wait();
      continue;
    }
    tcp::socket socket(door->loop);
    const auto [error] =
        co_await door->acceptor.async_accept(socket, asio::as_tuple(asio::use_awaitable));
    if (door->closed) co_return;
    if (error) {
      door->log.warn("accept failed", {{"why", error.message()}});
      co_await door->clock.sleep_for(kPauseAfterFailure);
      continue;
    }
    ++door->in_handshake;
    door->tasks.spawn(greet(door, std::move(socket)));
  }
}

Task<Admitted> take(std::shared_ptr<Door> door) {
  while (door->admitted.empty()) {
    if (door->closed) co_return fail(Errc::kCancelled, "the listener was closed");
    co_await door->changed.wait();
  }
  std::unique_ptr<Stream> stream = std::move(door->admitted.front());
  door->admitted.pop_front();
  door->changed.notify_all();
  co_return stream;
}

class RealListener final : public Listener {
 public:
  explicit RealListener(std::shared_ptr<Door> door) : door_(std::move(door)) {
    door_->tasks.spawn(accept_all(door_));
  }
  ~RealListener() override { RealListener::close(); }
  RealListener(const RealListener&) = delete;
  RealListener& operator=(const RealListener&) = delete;

  Task<Admitted> accept() override { return take(door_); }

  Endpoint local() const override {
    boost::system::error_code error;
    const tcp::endpoint bound = door_->acceptor.local_endpoint(error);
    return {bound.address().to_string(), bound.port()};
  }

  void close() override {
    if (std::exchange(door_->closed, true)) return;
    boost::system::error_code ignored;
    door_->acceptor.close(ignored);
    door_->admitted.clear();
    door_->changed.notify_all();
    door_->tasks.cancel();
  }

 private:
  std::shared_ptr<Door> door_;
};

Result<tcp::endpoint> local_endpoint(asio::io_context& loop, const Endpoint& at) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(at.host, error);
  if (!error) return tcp::endpoint(address, at.port);
  tcp::resolver resolver(loop);
  const auto found = resolver.resolve(at.host, std::to_string(at.port), error);
  if (error || found.empty()) {
    return fail(Errc::kUsage, "the address to listen at is not known: " + error.message(),
                to_string(at), "use an address of this machine, e.g. 127.0.0.1");
  }
  return found.begin()->endpoint();
}

}  // namespace

Result<std::unique_ptr<Listener>> make_listener(asio::io_context& loop, Clock& clock, Log& log,
                                                const Endpoint& at,
                                                std::shared_ptr<const TlsOptions> tls) {
  TRY(const tcp::endpoint endpoint, local_endpoint(loop, at));
  auto door = std::make_shared<Door>(loop, clock, log, std::move(tls));
  boost::system::error_code error;
  door->acceptor.open(endpoint.protocol(), error);
  if (!error) door->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) door->acceptor.bind(endpoint, error);
  if (!error) door->acceptor.listen(RealNetwork::kBacklog, error);
  if (error) {
    return fail(Errc::kUnavailable, "cannot listen: " + error.message(), to_string(at),
                "stop what uses the address, or choose another port");
  }
  return std::make_unique<RealListener>(std::move(door));
}

}  // namespace skein::real
