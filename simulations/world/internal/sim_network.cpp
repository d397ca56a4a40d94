#include "simulations/world/internal/sim_network.h"

#include "common/env/peer_check.h"
#include "simulations/world/internal/sim_stream.h"

namespace skein::sim {

namespace {

using Opened = Result<std::unique_ptr<Stream>>;

// What one side shows the other. Holding a certificate is not enough: the key must go with it.
Result<CheckedPeer> check_shown(const TlsOptions& shown, const TlsOptions& asked,
                                CertificateUse use, WallTime now) {
  if (!shown.identity) return check_peer({}, asked, use, now);
  TRY(CheckedPeer peer, check_peer(shown.identity->certificate_pem, asked, use, now));
  const auto key = signing_key_from_pem(shown.identity->private_key_pem);
  if (!key || key->public_key() != peer.key) {
    return fail(Errc::kRefused, "the peer does not hold its certificate's key", peer.identity.name);
  }
  return peer;
}

Task<Opened> take(std::shared_ptr<Door> door) {
  while (door->admitted.empty()) {
    if (door->closed) co_return fail(Errc::kCancelled, "the listener was closed");
    co_await door->changed.wait();
  }
  std::unique_ptr<Stream> stream = std::move(door->admitted.front());
  door->admitted.pop_front();
  co_return stream;
}

class SimListener final : public Listener {
 public:
  SimListener(Fabric& fabric, std::shared_ptr<Door> door)
      : fabric_(fabric), door_(std::move(door)) {}
  ~SimListener() override { SimListener::close(); }
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;
  Task<Opened> accept() override { return take(door_); }
  Endpoint local() const override { return door_->at; }
  void close() override { fabric_.close_door(*door_); }

 private:
  Fabric& fabric_;
  std::shared_ptr<Door> door_;
};

}  // namespace

// Returns when a message has gone there and back, however often it had to be sent.
Task<void> SimNetwork::round_trip(std::string node) {
  const std::string& here = epoch_->node;
  co_await clock_.sleep_for(fabric_.travel_time(here, node) + fabric_.travel_time(node, here));
  while (fabric_.is_cut(here, node) || fabric_.is_cut(node, here)) {
    co_await clock_.sleep_for(std::chrono::seconds(1));
  }
}

Result<std::shared_ptr<Door>> SimNetwork::door_at(const Endpoint& to, bool tls) const {
  if (!epoch_->alive) return tl::unexpected<Error>(dead_epoch_error(*epoch_));
  auto door = fabric_.find_door(to);
  if (!door || door->admitted.size() >= Fabric::kMaxAdmitted) {
    return fail(Errc::kUnavailable, "no connection: Connection refused", to_string(to),
                "check that the other side runs and can be reached");
  }
  if (tls != (door->tls != nullptr)) {
    return fail(tls ? Errc::kRefused : Errc::kUnavailable,
                "one side speaks TLS and the other does not", to_string(to));
  }
  return door;
}

Task<Opened> SimNetwork::dial(Endpoint to, std::shared_ptr<const TlsOptions> tls) {
  co_await round_trip(to.host);
  CO_TRY(auto door, door_at(to, tls != nullptr));
  CheckedPeer server;
  Result<CheckedPeer> client = CheckedPeer{};
  if (tls) {
    door.reset();
    co_await round_trip(to.host);
    CO_TRY(door, door_at(to, true));
    const WallTime now = clock_.wall_now();
    CO_TRY(server, check_shown(*door->tls, *tls, CertificateUse::kServer, now));
    client = check_shown(*tls, *door->tls, CertificateUse::kDevice, now);
  }
  const auto wire = fabric_.join(epoch_, door->epoch);
  wire->ends[0].peer = server.identity;
  wire->ends[0].peer.address = to_string(to);
  const std::string address = to_string(Endpoint{epoch_->node, fabric_.free_port(epoch_->node)});
  // As in TLS 1.3, the client is done before the server has judged it and learns of a refusal when
  // it reads.
  if (!client) {
    door->log.warn("peer refused", {{"peer", address}, {"why", to_string(client.error())}});
    const Error why{Errc::kRefused, "the peer refused our certificate", to_string(to),
                    "enrol again"};
    fabric_.break_wire(*wire, why);
  } else {
    wire->ends[1].peer = client->identity;
    wire->ends[1].peer.address = address;
    door->admitted.push_back(make_stream(fabric_, wire, 1));
    door->changed.notify_all();
  }
  fabric_.core().trace(epoch_->node, "net.connect", to_string(to));
  co_return make_stream(fabric_, wire, 0);
}

Task<Opened> SimNetwork::connect(Endpoint to, std::shared_ptr<const TlsOptions> tls) {
  if (!epoch_->alive) co_return tl::unexpected<Error>(dead_epoch_error(*epoch_));
  if (to.host == "localhost" || to.host == "127.0.0.1" || to.host == "::1") to.host = epoch_->node;
  std::string what = "connecting to " + to_string(to);
  const Instant deadline = clock_.now() + kConnectLimit;
  Task<Opened> work = dial(std::move(to), std::move(tls));
  co_return co_await with_deadline(clock_, deadline, std::move(what), std::move(work));
}

Result<std::unique_ptr<Listener>> SimNetwork::listen(Endpoint at,
                                                     std::shared_ptr<const TlsOptions> tls) {
  if (!epoch_->alive) return tl::unexpected<Error>(dead_epoch_error(*epoch_));
  TRY(auto door, fabric_.open_door(epoch_, std::move(at), std::move(tls), log_));
  return std::make_unique<SimListener>(fabric_, std::move(door));
}

}  // namespace skein::sim
