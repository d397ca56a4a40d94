// Updater: the hands of UpdateMachine: fetches what is missing of an offered artifact, checks every
// byte before it is kept, tries the model, switches the slot, and remembers what to report. Owned
// by the app; loop thread only. What it refers to outlives its run().
//
// A page goes to disk under its hash as it comes, so a cut link, a restart or a second offer never
// fetches it again. Nothing is switched before every page is here and the canary has run.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/artifact/chunk_store.h"
#include "common/artifact/slots.h"
#include "common/coding/page_coding.h"
#include "common/env/env.h"
#include "edge_node/link/uplink.h"
#include "edge_node/update/install.h"
#include "edge_node/update/page_fetch.h"
#include "edge_node/update/update_machine.h"

namespace skein {

inline constexpr std::size_t kPagesPerBatch = 128;  // <= kMaxPagesPerFetch
inline constexpr std::size_t kMaxWaitingOffers = 64;

struct UpdaterHooks {
  // Whose signature to accept; nullopt while the device does not know (not enrolled).
  std::function<std::optional<PublicKey>()> artifact_key;
  // Awaited after the slot was switched, before old pages are removed.
  std::function<Task<void>()> switched;
  // Manifests that running answers still compute with: their pages stay.
  std::function<std::vector<Digest>()> in_use;
  std::function<void()> heartbeat_soon;
  TryOut try_out{};  // empty: with all its pages in memory
};

struct UpdaterOptions {
  std::string journal_path;
  std::string folder;  // where the store is: for free space
};

class Updater {
 public:
  Updater(Env env, ChunkStore& store, Slots& slots, Uplink& uplink, UpdaterHooks hooks,
          UpdaterOptions options);
  Updater(const Updater&) = delete;
  Updater& operator=(const Updater&) = delete;

  // Reads journal and slot; a damaged journal is logged and begun anew.
  Task<Result<void>> load();
  Task<void> run();  // until cancelled

  // From the heartbeat's reply.
  void offered(const UpdateOffer& offer);
  void recorded(const std::vector<std::pair<RolloutId, DeviceStep>>& reports);
  // For the next heartbeat.
  std::vector<StepReport> reports() const { return machine_.reports(); }
  const std::optional<SlotState>& slot() const { return slot_; }
  void set_slot(SlotState state) { slot_ = std::move(state); }  // switched by someone else

  struct Counters {
    std::uint64_t pages_fetched = 0, bytes_fetched = 0;  // pages only, manifests apart
    std::uint64_t wire_bytes = 0;                        // what those pages took on the link
    std::uint64_t pages_refused = 0, manifests_refused = 0;
    std::uint64_t switches = 0, failures = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Batch {
    std::map<Digest, PageIndex> wanted;
    std::uint32_t pages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t wire_bytes = 0;
    std::optional<PageCoder> coder;  // while pages come coded
    std::optional<Error> refused;    // a page that is not what it says
  };

  void push(AnyUpdateEvent event);
  Task<void> handle(AnyUpdateEvent event);
  Task<void> carry_out(UpdateAction action, Digest artifact);
  Task<AnyUpdateEvent> get_manifest(Digest artifact);
  Task<Result<SignedManifest>> fetch_manifest(Digest artifact);
  Task<Result<Manifest>> hold_manifest(Digest artifact);
  Task<AnyUpdateEvent> get_pages(Digest artifact);
  Task<Result<void>> take_page(Batch& batch, Message part, Buffer payload);
  Task<Result<void>> fetch_batch(Batch& batch);
  Task<AnyUpdateEvent> run_canary(Digest artifact);
  Task<AnyUpdateEvent> run_canary_within(Digest artifact);  // a budget
  Task<AnyUpdateEvent> switch_slot(Digest artifact);
  Task<void> sweep();
  Task<void> save_journal();
  AnyUpdateEvent rejected(const Digest& artifact, std::string kind, const Error& error);

  Env env_;
  ChunkStore& store_;
  Slots& slots_;
  Uplink& uplink_;
  UpdaterHooks hooks_;
  UpdaterOptions options_;
  UpdateMachine machine_;
  std::deque<AnyUpdateEvent> events_;
  Signal came_;
  std::optional<SlotState> slot_;
  Manifest manifest_;  // of the artifact being worked on, once held
  std::vector<PageIndex> missing_;
  Counters counters_;
};

}  // namespace skein
