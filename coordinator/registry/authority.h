// Authority: the fleet's keys and certificates: the device authority, the server's own certificate
// and the key that signs artifacts. Made at first start, kept in one folder, each file replaced
// atomically; a restart finds the same ones. Owned by the app; loop thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/artifact/manifest.h"
#include "common/crypto/certificate.h"
#include "common/env/env.h"
#include "common/env/network.h"

namespace skein {

struct AuthorityOptions {
  std::string directory;           // made if absent; only this user may read it
  std::vector<std::string> hosts;  // names and addresses of the server, beside the loopback's
};

class Authority {
 public:
  // Reads what is there and makes what is missing. A server certificate that lacks a host or ends
  // soon is issued again under the same authority. Errc::kCorrupt names the file that is damaged;
  // it is never replaced silently: devices trust the keys in it.
  static Task<Result<std::unique_ptr<Authority>>> open(Env env, AuthorityOptions options);

  const std::string& certificate_pem() const { return authority_pem_; }
  const Digest& fingerprint() const { return fingerprint_; }  // what enrolment tokens carry
  TlsIdentity server_identity() const;

  PublicKey artifact_public_key() const { return artifact_key_.public_key(); }
  const SigningKey& artifact_key() const { return artifact_key_; }

  // A certificate for device `id`, common name "device-<id>".
  struct Issued {
    std::string certificate_pem;
    std::uint64_t serial = 0;
  };
  Result<Issued> issue(DeviceId id, const PublicKey& key);

 private:
  explicit Authority(Env env) : env_(env) {}
  Task<Result<void>> open_authority(std::string directory);
  Task<Result<void>> open_server(std::string directory, std::vector<std::string> hosts);
  // The key in the file, or a new one written there.
  Task<Result<SigningKey>> open_key(std::string path);
  bool server_certificate_serves(const std::vector<std::string>& hosts) const;
  WallTime now() const { return env_.clock.wall_now(); }
  std::uint64_t new_serial();

  Env env_;
  SigningKey authority_key_;
  SigningKey server_key_;
  SigningKey artifact_key_;
  std::string authority_pem_;
  std::string server_pem_;
  Digest fingerprint_;
};

std::string device_common_name(DeviceId id);  // "device-7"
std::optional<DeviceId> device_of_common_name(std::string_view name);

}  // namespace skein
