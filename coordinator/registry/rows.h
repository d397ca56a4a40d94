// Rows: what the coordinator remembers, as plain records; one struct per table. Values; any thread.
// Times are wall-clock seconds since 1970: they outlive the process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/crypto/ed25519.h"
#include "common/wire/messages.h"

namespace skein {

// Numbers stand in the database: never renumber.
enum class DeviceState : std::uint8_t {
  kActive = 1,
  kCordoned = 2,  // stays connected, gets no new work
  kRevoked = 3,   // its certificate is refused, for good
};
enum class RolloutState : std::uint8_t {
  kDraft = 1,
  kReady = 2,
  kRunning = 3,
  kPaused = 4,
  kFinished = 5,
  kAborted = 6,
  kRolledBack = 7,
};

// Words as people and the admin API see them: "rolled_back". A number that is no state: nullopt.
std::string_view name_of(DeviceState state);
std::string_view name_of(RolloutState state);
std::string_view name_of(DeviceStep step);
std::optional<DeviceState> device_state_of(std::int64_t number);
std::optional<RolloutState> rollout_state_of(std::int64_t number);
std::optional<DeviceStep> device_step_of(std::int64_t number);

using Labels = std::map<std::string, std::string>;

struct TokenRow {
  Digest secret_hash;  // SHA-256 of the secret; the secret itself is never stored
  std::int64_t created = 0;
  std::int64_t expires = 0;
  std::optional<DeviceId> used_by;
};

struct DeviceRow {
  DeviceId id{};
  DeviceState state = DeviceState::kActive;
  std::string name;
  PublicKey public_key{};
  std::uint64_t serial = 0;
  std::string certificate_pem;
  std::int64_t enrolled = 0;
  std::int64_t last_seen = 0;
  Inventory inventory;  // as last reported
  Labels labels;        // given by the operator
  std::optional<Digest> active;
  std::optional<Digest> previous;
  std::uint64_t slot_generation = 0;
  friend bool operator==(const DeviceRow&, const DeviceRow&) = default;
};

struct ArtifactRow {
  Digest digest;
  std::string name;
  std::string version;
  std::string architecture;
  std::uint64_t bytes = 0;  // of its pages
  std::uint32_t pages = 0;
  std::optional<Digest> parent;
  std::int64_t imported = 0;
  friend bool operator==(const ArtifactRow&, const ArtifactRow&) = default;
};

struct RolloutRow {
  RolloutId id{};
  Digest artifact;
  RolloutState state = RolloutState::kDraft;
  std::int64_t created = 0;
  std::int64_t started = 0;  // 0 = never
  std::int64_t changed = 0;
  friend bool operator==(const RolloutRow&, const RolloutRow&) = default;
};

struct RolloutDeviceRow {
  DeviceId device{};
  DeviceStep step = DeviceStep::kPending;
  std::string reason;              // short code and words: "signature: ..."; empty when all is well
  std::optional<Digest> baseline;  // what was active before: where a roll-back leads
  std::uint64_t bytes_fetched = 0;
  std::uint32_t pages_fetched = 0;
  std::uint32_t attempt = 1;
  std::int64_t changed = 0;
  friend bool operator==(const RolloutDeviceRow&, const RolloutDeviceRow&) = default;
};

}  // namespace skein
