// DeviceRegistry: who is in the fleet: enrolment by one-time token, identity by certificate, what
// each device last said, cordon and revoke. Owned by the app; loop thread only. Everything is in
// memory and written through to the Store.
#pragma once

#include <map>
#include <string>

#include "common/env/env.h"
#include "common/env/network.h"
#include "coordinator/registry/authority.h"
#include "coordinator/registry/store.h"

namespace skein {

inline constexpr std::size_t kMaxDevices = 100'000;
inline constexpr std::size_t kMaxTokenSeconds = 365 * 24 * 3600;

class DeviceRegistry {
 public:
  DeviceRegistry(Env env, Store& store, Authority& authority);  // both outlive it
  DeviceRegistry(const DeviceRegistry&) = delete;
  DeviceRegistry& operator=(const DeviceRegistry&) = delete;

  Result<void> restore();  // once, before anything else

  // What a person hands to a device: "<32 hex secret>.<64 hex authority fingerprint>".
  struct Token {
    std::string text;
    std::int64_t expires = 0;  // wall seconds
  };
  Result<Token> make_token(std::chrono::seconds life);

  // The token's secret (or its whole text) and the device's signing request, for a certificate.
  // The same token with the same key again: the same reply. Errc::kRefused: unknown or expired
  // token, or one that another key has used.
  Result<EnrolReply> enrol(const EnrolRequest& request);

  // The device behind a connection. Errc::kRefused: no certificate, one we do not know, revoked.
  Result<DeviceId> identify(const PeerIdentity& from) const;

  // Remembers what a heartbeat says, and that it came.
  Result<void> heard(DeviceId id, const Heartbeat& heartbeat);
  const std::map<DeviceId, DeviceRow>& devices() const { return devices_; }
  const DeviceRow* find(DeviceId id) const;  // or nullptr

  // Operators' verbs; Errc::kNotFound, kConflict for what a revoked device can no longer be.
  Result<void> cordon(DeviceId id, bool cordoned);
  Result<void> revoke(DeviceId id);
  Result<void> set_labels(DeviceId id, const Labels& labels);  // an empty value removes the label

 private:
  Result<EnrolReply> enrol_again(const TokenRow& token, const PublicKey& key) const;
  Result<EnrolReply> enrol_new(const TokenRow& token, const PublicKey& key, std::string name);
  EnrolReply reply_for(const DeviceRow& device) const;
  Result<DeviceRow> row_of(DeviceId id) const;
  Result<void> change(DeviceRow next);
  std::int64_t now() const;

  Env env_;
  Store& store_;
  Authority& authority_;
  std::map<DeviceId, DeviceRow> devices_;
  std::map<DeviceId, std::int64_t> written_;  // when last_seen was last stored
};

}  // namespace skein
