// Store: everything the coordinator must remember across a restart. Owned by the app; synchronous,
// loop thread only. Each call is one transaction: done and durable on return, or not done at all.
// SqliteStore is the implementation; Errc::kCorrupt when a row does not read back.
#pragma once

#include <memory>
#include <span>

#include "common/base/result.h"
#include "coordinator/registry/rows.h"

namespace skein {

class Database;

class Store {
 public:
  virtual ~Store() = default;

  virtual Result<std::optional<std::string>> setting(std::string_view key) = 0;
  virtual Result<void> put_setting(std::string_view key, std::string_view value) = 0;

  virtual Result<void> add_token(const TokenRow& token) = 0;
  virtual Result<std::optional<TokenRow>> token(const Digest& secret_hash) = 0;
  virtual Result<void> remove_unused_tokens(std::int64_t expired_before) = 0;

  // Uses the token and adds the device, both or neither. Errc::kConflict when the token is absent
  // or used.
  virtual Result<void> enrol(const Digest& secret_hash, const DeviceRow& device) = 0;
  virtual Result<DeviceId> next_device_id() = 0;  // never one that was given before
  virtual Result<std::vector<DeviceRow>> devices() = 0;
  virtual Result<void> put_device(const DeviceRow& device) = 0;  // replaces the row with its id

  virtual Result<void> put_artifact(const ArtifactRow& artifact) = 0;
  virtual Result<std::vector<ArtifactRow>> artifacts() = 0;

  virtual Result<RolloutId> next_rollout_id() = 0;
  // The rollout and those of its devices that changed, together.
  virtual Result<void> put_rollout(const RolloutRow& rollout,
                                   std::span<const RolloutDeviceRow> devices) = 0;
  virtual Result<std::vector<RolloutRow>> rollouts() = 0;
  virtual Result<std::vector<RolloutDeviceRow>> rollout_devices(RolloutId rollout) = 0;
};

// Brings the schema to this version (Errc::kUnsupported when the file is from a later one).
// `database` must outlive the store.
Result<std::unique_ptr<Store>> open_sqlite_store(Database& database);

}  // namespace skein
