#include "simulations/checkers/fleet_checkers.h"

#include <set>

#include "common/artifact/chunk_store.h"
#include "common/artifact/slots.h"
#include "coordinator/federation/round_store.h"
#include "coordinator/registry/store.h"
#include "simulations/checkers/frozen_disk.h"

namespace skein {
namespace {

constexpr std::uint64_t kBatchesBetweenLooks = 2048;  // into the coordinator's tables
constexpr std::uint64_t kBatchesBetweenGlances = 16;  // at one device's slot
constexpr std::uint32_t kRoundsLookedAt = 64;

// nullopt when what the node's pointer names is whole and signed; otherwise what is wrong.
Task<Result<std::optional<std::string>>> look_at_slot(Disk& disk, SlotPlace place,
                                                      std::optional<PublicKey> key) {
  ChunkStore store(disk, place.chunks);
  Slots slots(disk, place.slots);
  CO_TRY(const auto pointer, co_await slots.load());
  if (!pointer) co_return std::string("it has no slot any more");
  CO_TRY(const auto bootable, co_await slots.bootable(store));
  if (!bootable) co_return std::string("nothing of it can be booted");
  auto pages = co_await SlotPages::open(store, pointer->active);
  if (!pages) co_return "its active slot is not whole: " + to_string(pages.error());
  if (const auto whole = (*pages)->verify_all(); !whole) {
    co_return "its active slot holds a damaged page: " + to_string(whole.error());
  }
  if (key) {
    const auto good = verify_signature((*pages)->signed_manifest(), *key);
    if (!good) co_return "its active slot is not signed: " + to_string(good.error());
  }
  co_return std::optional<std::string>{};
}

}  // namespace

SlotsAreBootable::SlotsAreBootable(const World& world, std::vector<SlotPlace> places)
    : world_(world), places_(std::move(places)), seen_(places_.size()), had_slot_(places_.size()) {}

std::string SlotsAreBootable::pointer_bytes(const SlotPlace& place) const {
  std::string bytes;
  for (const std::string& path : world_.files(place.node)) {
    if (!path.starts_with(place.slots + "/") || path.ends_with(".new")) continue;
    const auto file = world_.file(place.node, path);
    if (file) bytes += path + '\n' + std::string(as_text(*file));
  }
  return bytes;
}

std::optional<std::string> SlotsAreBootable::check(std::size_t device) {
  const SlotPlace& place = places_[device];
  ++checks_;
  FrozenDisk disk(world_, place.node);
  auto looked = run_now(look_at_slot(disk, place, key_));
  if (!looked) return place.node + ": its slot cannot be read: " + to_string(looked.error());
  if (*looked) return place.node + ": " + **looked;
  return std::nullopt;
}

std::optional<std::string> SlotsAreBootable::violation() {
  // One device at a time, in turn: a change is seen soon, and looking stays cheap.
  if (places_.empty() || calls_++ % kBatchesBetweenGlances != 0) return std::nullopt;
  const std::size_t device = next_++ % places_.size();
  std::string bytes = pointer_bytes(places_[device]);
  if (bytes == seen_[device]) return std::nullopt;
  seen_[device] = std::move(bytes);
  had_slot_[device] = had_slot_[device] || !seen_[device].empty();
  return had_slot_[device] ? check(device) : std::nullopt;
}

std::optional<std::string> SlotsAreBootable::check_everyone() {
  for (std::size_t device = 0; device < places_.size(); ++device) {
    had_slot_[device] = had_slot_[device] || !pointer_bytes(places_[device]).empty();
    if (!had_slot_[device]) continue;
    if (auto wrong = check(device)) return wrong;
  }
  return std::nullopt;
}

std::optional<Digest> SlotsAreBootable::active(std::size_t device) const {
  FrozenDisk disk(world_, places_[device].node);
  Slots slots(disk, places_[device].slots);
  const auto state = run_now(slots.load());
  if (!state || !*state) return std::nullopt;
  return (*state)->active;
}

std::optional<std::string> RolloutsAreConserved::violation() {
  if (calls_++ % kBatchesBetweenLooks != 0) return std::nullopt;
  const auto store = open_sqlite_store(database_);
  if (!store) return "the coordinator's store does not open: " + to_string(store.error());
  const auto rollouts = (*store)->rollouts();
  if (!rollouts) return "the rollouts do not read back: " + to_string(rollouts.error());
  for (const RolloutRow& rollout : *rollouts) {
    const auto rows = (*store)->rollout_devices(rollout.id);
    if (!rows) return "a rollout's devices do not read back: " + to_string(rows.error());
    std::set<DeviceId> distinct;
    for (const RolloutDeviceRow& row : *rows) distinct.insert(row.device);
    const std::string name = "rollout " + std::to_string(rollout.id.value());
    if (distinct.size() != rows->size()) return name + " counts a device twice";
    std::size_t& before = devices_[rollout.id];
    if (rows->size() < before) return name + " lost a device";
    before = rows->size();
  }
  return std::nullopt;
}

std::optional<std::string> UpdatesCountOnce::violation() {
  if (calls_++ % kBatchesBetweenLooks != 0) return std::nullopt;
  const auto store = open_round_store(database_);
  if (!store) return "the round store does not open: " + to_string(store.error());
  const auto rounds = (*store)->load(kRoundsLookedAt);
  if (!rounds) return "the rounds do not read back: " + to_string(rounds.error());
  for (const RoundRecord& round : *rounds) {
    std::set<DeviceId> distinct;
    for (const Participant& participant : round.participants) {
      const std::string name = "round " + std::to_string(round.round.value());
      if (!distinct.insert(participant.device).second) return name + " has a device twice";
      if (!participant.counted) continue;
      if (!participant.upload) return name + " counted an update that was never begun";
      const auto [at, fresh] = counted_.try_emplace(std::pair(round.round, participant.device),
                                                    participant.upload->content);
      if (!fresh && at->second != participant.upload->content) {
        return name + " changed an update after counting it";
      }
    }
  }
  return std::nullopt;
}

}  // namespace skein
