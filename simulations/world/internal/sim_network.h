// SimNetwork: the Network door of one epoch of a node, over the Fabric. Hosts are node names;
// "localhost" and "127.0.0.1" are the node itself. TLS is its certificates: both sides check them
// as the real network does, nothing is encrypted.
#pragma once

#include "simulations/world/internal/fabric.h"

namespace skein::sim {

class SimNetwork final : public Network {
 public:
  SimNetwork(Fabric& fabric, std::shared_ptr<const Epoch> epoch, Clock& clock, Log& log)
      : fabric_(fabric), epoch_(std::move(epoch)), clock_(clock), log_(log) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to,
                                                std::shared_ptr<const TlsOptions> tls) override;
  Result<std::unique_ptr<Listener>> listen(Endpoint at,
                                           std::shared_ptr<const TlsOptions> tls) override;

  static constexpr Duration kConnectLimit = std::chrono::seconds(10);

 private:
  Task<Result<std::unique_ptr<Stream>>> dial(Endpoint to, std::shared_ptr<const TlsOptions> tls);
  Task<void> round_trip(std::string node);
  Result<std::shared_ptr<Door>> door_at(const Endpoint& to, bool tls) const;

  Fabric& fabric_;
  std::shared_ptr<const Epoch> epoch_;
  Clock& clock_;
  Log& log_;
};

}  // namespace skein::sim
