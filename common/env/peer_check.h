// What a TLS handshake decides about the other side, as a pure function: the real network and the
// simulated one ask the same question. Values; any thread.
#pragma once

#include <string_view>

#include "common/crypto/certificate.h"
#include "common/env/network.h"

namespace skein {

struct CheckedPeer {
  PeerIdentity identity;  // without an address yet
  PublicKey key{};        // its certificate's; zero when it showed none
};

// `chain_pem` is what the peer showed, leaf first; empty when it showed nothing. `peer_use` says
// which side the peer is: a client expects kServer.
// Errc::kRefused says why.
Result<CheckedPeer> check_peer(std::string_view chain_pem, const TlsOptions& options,
                               CertificateUse peer_use, WallTime now);

}  // namespace skein
