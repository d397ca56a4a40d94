// Network: byte streams between named ends, plain or TLS 1.3 with certificates on both sides.
// Loop thread only. The simulator checks the same certificates without encrypting.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/result.h"
#include "common/env/task.h"

namespace skein {

struct Endpoint {
  std::string host;  // name or address
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
std::string to_string(const Endpoint& endpoint);         // "127.0.0.1:7070", "[::1]:7070"
Result<Endpoint> parse_endpoint(std::string_view text);  // Errc::kUsage

struct TlsIdentity {
  std::string certificate_pem;  // leaf first, then its authority
  std::string private_key_pem;
};
// One of authority_pem and authority_fingerprint says whom to trust: the fingerprint (of the
// authority's certificate, sent in the chain) is for the first contact, before the device holds the
// authority's PEM.
struct TlsOptions {
  std::optional<TlsIdentity> identity{};
  std::string authority_pem{};
  std::optional<Digest> authority_fingerprint{};
  // Client: a host name or address that the server's certificate must carry; empty = not checked.
  std::string server_name{};
  // Server: admit peers without a certificate (for enrolment); peer().name is then empty.
  bool peer_certificate_optional = false;
};

struct PeerIdentity {
  std::string address;
  std::string name;          // common name of a verified certificate; empty = unauthenticated
  std::uint64_t serial = 0;  // of that certificate
  std::string
      authority_pem;  // client side, first contact: the authority that matched the fingerprint
};

class Stream {
 public:
  virtual ~Stream() = default;  // closes
  // At least one byte, or 0 at the peer's orderly end. Errc::kUnavailable when the link broke.
  virtual Task<Result<std::size_t>> read_some(MutableByteView into) = 0;
  virtual Task<Result<void>> write_all(
      ByteView bytes) = 0;   // one writer at a time; bytes outlive it
  virtual void close() = 0;  // pending operations end with Errc::kCancelled; safe to repeat
  virtual const PeerIdentity& peer() const = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;  // closes
  // Handshakes are done inside, several at once, each with its own deadline; a peer that fails one
  // is logged and never seen here.
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual Endpoint local() const = 0;  // the port really bound
  virtual void close() = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // tls == nullptr: plain. Errc::kUnavailable, kRefused (certificates), kDeadline (10 s limit
  // inside).
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to,
                                                        std::shared_ptr<const TlsOptions> tls) = 0;
  // Port 0 = any free one. Errc::kUnavailable names the address that is taken.
  virtual Result<std::unique_ptr<Listener>> listen(Endpoint at,
                                                   std::shared_ptr<const TlsOptions> tls) = 0;
};

}  // namespace skein
