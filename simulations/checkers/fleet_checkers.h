// What must stay true of a fleet, whatever goes wrong. Owned by the scenario; asked by the World
// after every batch of events. They look with the product's own readers, through FrozenDisk.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/crypto/ed25519.h"
#include "common/store/database.h"
#include "simulations/world/world.h"

namespace skein {

// Where a node keeps its pages and slots.
struct SlotPlace {
  std::string node;
  std::string chunks;  // ChunkStore's root
  std::string slots;   // Slots' folder
};

// Once a device has a slot it always has a bootable one, and what its newest pointer names is
// whole: every page matches its hash, the manifest its signature. Looked at when the pointer files
// change.
class SlotsAreBootable final : public Checker {
 public:
  SlotsAreBootable(const World& world, std::vector<SlotPlace> places);
  // Known once the first device has enrolled; signatures are checked from then on.
  void trust(const PublicKey& artifact_key) { key_ = artifact_key; }
  std::optional<std::string> violation() override;
  // All of them now, changed or not: after a crash, and at the end.
  std::optional<std::string> check_everyone();
  // The artifact a device's newest pointer names; nullopt before its first commit.
  std::optional<Digest> active(std::size_t device) const;
  std::uint64_t checks() const { return checks_; }

 private:
  std::string pointer_bytes(const SlotPlace& place) const;
  std::optional<std::string> check(std::size_t device);

  const World& world_;
  std::vector<SlotPlace> places_;
  std::vector<std::string> seen_;  // the pointer files' bytes when last checked
  std::vector<bool> had_slot_;
  std::optional<PublicKey> key_;
  std::uint64_t checks_ = 0;
  std::uint64_t calls_ = 0;
  std::size_t next_ = 0;
};

// Every rollout's devices are each in one step, and there are never fewer of them than before.
class RolloutsAreConserved final : public Checker {
 public:
  explicit RolloutsAreConserved(Database& database) : database_(database) {}
  std::optional<std::string> violation() override;

 private:
  Database& database_;
  std::map<RolloutId, std::size_t> devices_;  // rows seen
  std::uint64_t calls_ = 0;
};

// A device's update is counted at most once a round: participants are distinct, and what was
// counted stays as it was.
class UpdatesCountOnce final : public Checker {
 public:
  explicit UpdatesCountOnce(Database& database) : database_(database) {}
  std::optional<std::string> violation() override;

 private:
  Database& database_;
  std::map<std::pair<RoundId, DeviceId>, Digest> counted_;
  std::uint64_t calls_ = 0;
};

}  // namespace skein
