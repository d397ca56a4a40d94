// X.509 certificates over Ed25519 keys: a small device authority. PEM texts in, PEM texts out.
// Values; any thread. Everything non-deterministic (keys, serials, times) is an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/digest.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"

namespace skein {

using WallTime = std::chrono::sys_seconds;

struct Validity {
  WallTime from;
  WallTime until;
};

// A self-signed authority (CA:TRUE, path length 0) named `common_name`.
Result<std::string> make_authority(const SigningKey& key, std::string_view common_name,
                                   std::uint64_t serial, Validity validity);

enum class CertificateUse : unsigned char { kServer, kDevice };
struct CertificateRequest {
  std::string common_name;         // device id ("device-7") or "coordinator"
  PublicKey public_key{};          // whom it is for
  std::vector<std::string> hosts;  // subjectAltName: DNS names or IP addresses (servers)
  CertificateUse use = CertificateUse::kDevice;
  std::uint64_t serial = 0;
  Validity validity{};
};
Result<std::string> issue_certificate(const SigningKey& authority_key,
                                      std::string_view authority_pem,
                                      const CertificateRequest& request);

// PKCS#10: proves the asker holds the key. parse checks its signature; kCorrupt / kRefused
// otherwise.
Result<std::string> make_signing_request(const SigningKey& key, std::string_view common_name);
struct SigningRequest {
  std::string common_name;
  PublicKey public_key{};
};
Result<SigningRequest> parse_signing_request(std::string_view pem);

// What a verified chain says. `chain_pem`: leaf first; `now` is checked against validity.
struct CertificateFacts {
  std::string common_name;
  PublicKey public_key{};
  std::uint64_t serial = 0;
  std::vector<std::string> hosts;  // subjectAltName; IPv6 written as eight full groups
  Digest fingerprint;              // SHA-256 of the leaf's DER
};
// Errc::kRefused with the reason (expired, wrong authority, wrong use, broken signature);
// Errc::kCorrupt when a text is no certificate. The leaf must be signed by the authority itself.
Result<CertificateFacts> verify_certificate(std::string_view chain_pem,
                                            std::string_view authority_pem, CertificateUse use,
                                            WallTime now);
// SHA-256 of a certificate's DER: how an enrolment token names the authority it trusts.
Result<Digest> certificate_fingerprint(std::string_view pem);

}  // namespace skein
