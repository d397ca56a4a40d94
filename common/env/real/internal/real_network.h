// RealNetwork: TCP, plain or under TLS 1.3. Owned by RealEnv; loop thread.
#pragma once

#include <boost/asio/io_context.hpp>

#include "common/env/env.h"
#include "common/env/network.h"

namespace skein::real {

class RealNetwork final : public Network {
 public:
  RealNetwork(boost::asio::io_context& loop, Clock& clock, Log& log)
      : loop_(loop), clock_(clock), log_(log) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to,
                                                std::shared_ptr<const TlsOptions> tls) override;
  Result<std::unique_ptr<Listener>> listen(Endpoint at,
                                           std::shared_ptr<const TlsOptions> tls) override;

  static constexpr Duration kHandshakeLimit = std::chrono::seconds(10);
  static constexpr std::size_t kMaxHandshakes =
      64;  // per listener, finished ones not yet taken too
  static constexpr int kBacklog = 256;

 private:
  Task<Result<std::unique_ptr<Stream>>> dial(Endpoint to, std::shared_ptr<const TlsOptions> tls);

  boost::asio::io_context& loop_;
  Clock& clock_;
  Log& log_;
};

}  // namespace skein::real
