// Who this device is to its coordinator: a key made here that never leaves, a certificate, the
// authority it came from and the key whose signature on artifacts it accepts. Values; loop thread.
//
// On disk, in one directory: `device.key` (PEM, written before its first use) and `identity.json`
// (written once enrolment succeeded). A repeated enrolment uses the same key, so an answer that was
// lost costs nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/crypto/ed25519.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "common/env/network.h"
#include "common/wire/messages.h"

namespace skein {

// "<secret>.<fingerprint of the authority, hex>": what a person carries from coordinator to device.
struct EnrolToken {
  std::string text;  // the whole of it: what the coordinator is told
  Digest authority;
};
Result<EnrolToken> parse_enrol_token(std::string_view text);  // Errc::kUsage

struct DeviceIdentity {
  DeviceId device{};
  std::string certificate_pem;
  std::string authority_pem;
  PublicKey artifact_key{};
  SigningKey key;
};

// The key on disk, or a new one that is on disk when this returns.
Task<Result<SigningKey>> load_or_make_key(Env env, std::string directory);
// nullopt: not enrolled, or what is there is damaged, expired or of another key (logged).
Task<Result<std::optional<DeviceIdentity>>> load_identity(Env env, std::string directory);

struct EnrolOptions {
  Endpoint coordinator;
  EnrolToken token;
  std::string device_name;
  std::string directory;
};
// Dials, trusts only the authority the token names, and stores what it is given. Safe to repeat.
Task<Result<DeviceIdentity>> enrol(Env env, EnrolOptions options);

}  // namespace skein
