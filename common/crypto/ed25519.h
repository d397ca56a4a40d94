// Ed25519 keys and signatures (RFC 8032) by OpenSSL. Values; any thread. Signing is deterministic.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace skein {

using PublicKey = std::array<std::byte, 32>;
using Signature = std::array<std::byte, 64>;

struct SigningKey {
  std::array<std::byte, 32> seed{};  // secret
  PublicKey public_key() const;
};

Signature sign(const SigningKey& key, ByteView message);
bool verify(const PublicKey& key, ByteView message, const Signature& signature);

// PEM as OpenSSL writes it (PKCS#8 private, SubjectPublicKeyInfo public). Errc::kCorrupt for
// anything else.
std::string to_pem(const SigningKey& key);
std::string to_pem(const PublicKey& key);
Result<SigningKey> signing_key_from_pem(std::string_view pem);
Result<PublicKey> public_key_from_pem(std::string_view pem);

}  // namespace skein
