#include "edge_node/update/updater.h"

#include <algorithm>

#include "edge_node/update/internal/canary.h"
#include "edge_node/update/internal/journal.h"
#include "edge_node/update/page_fetch.h"

namespace skein {

namespace {

using Event = UpdateEvent;

// The other side, or the way to it, was not there: worth trying again with nothing changed.
bool is_link_trouble(Errc code) {
  return code == Errc::kUnavailable || code == Errc::kDeadline || code == Errc::kCancelled;
}
bool is_disk_trouble(Errc code) { return code == Errc::kOutOfRoom || code == Errc::kInput; }

std::uint64_t bytes_of(const Manifest& manifest, const std::vector<PageIndex>& pages) {
  std::uint64_t bytes = 0;
  for (const PageIndex page : pages) bytes += manifest.pages[page.value()].bytes;
  return bytes;
}

// What the simulator charges: hashing every page and a few passes over it.
Duration canary_cost(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const PageEntry& page : manifest.pages) bytes += page.bytes;
  return Duration(static_cast<std::int64_t>(bytes)) * 4;
}

}  // namespace

Updater::Updater(Env env, ChunkStore& store, Slots& slots, Uplink& uplink, UpdaterHooks hooks,
                 UpdaterOptions options)
    : env_(env),
      store_(store),
      slots_(slots),
      uplink_(uplink),
      hooks_(std::move(hooks)),
      options_(std::move(options)),
      came_(env.executor) {}

Task<Result<void>> Updater::load() {
  CO_TRY(slot_, co_await slots_.load());
  const auto bytes = co_await read_file(env_.disk, options_.journal_path, kMaxJournalBytes);
  if (!bytes) {
    if (bytes.error().code == Errc::kNotFound) co_return Result<void>{};
    co_return tl::unexpected<Error>(bytes.error());
  }
  const auto journal = decode_journal(as_text(*bytes));
  if (journal) {
    machine_ = UpdateMachine(*journal, env_.clock.now());
  } else {
    env_.log.warn("update journal begun anew",
                  {{"file", options_.journal_path}, {"reason", to_string(journal.error())}});
  }
  co_return Result<void>{};
}

void Updater::offered(const UpdateOffer& offer) {
  if (events_.size() >= kMaxWaitingOffers) return;  // it comes again
  const std::optional<Digest> active = slot_ ? std::optional(slot_->active) : std::nullopt;
  push(Event::Offered{offer, active});
}

void Updater::recorded(const std::vector<std::pair<RolloutId, DeviceStep>>& reports) {
  for (const auto& [rollout, step] : reports) {
    if (events_.size() >= kMaxWaitingOffers) return;
    push(Event::Recorded{rollout, step});
  }
}

void Updater::push(AnyUpdateEvent event) {
  events_.push_back(std::move(event));
  came_.notify_all();
}

Task<void> Updater::run() {
  for (;;) {
    while (events_.empty()) co_await came_.wait();
    AnyUpdateEvent event = std::move(events_.front());
    events_.pop_front();
    co_await handle(std::move(event));
  }
}

Task<void> Updater::handle(AnyUpdateEvent event) {
  if (auto* offer = std::get_if<Event::Offered>(&event)) {
    // The slot may have been switched while the offer waited here.
    offer->active = slot_ ? std::optional(slot_->active) : std::nullopt;
  }
  const UpdateActions actions = machine_.step(event, env_.clock.now());
  const auto current = machine_.current();
  for (const UpdateAction action : actions) {
    co_await carry_out(action, current ? current->artifact : Digest{});
  }
}

// Outcomes join the queue's end: an offer of something newer is seen between two batches.
Task<void> Updater::carry_out(UpdateAction action, Digest artifact) {
  switch (action) {
    case UpdateAction::kGetManifest:
      push(co_await get_manifest(artifact));
      break;
    case UpdateAction::kGetPages:
      push(co_await get_pages(artifact));
      break;
    case UpdateAction::kRunCanary:
      push(co_await run_canary(artifact));
      break;
    case UpdateAction::kSwitchSlot:
      push(co_await switch_slot(artifact));
      break;
    case UpdateAction::kSweepPages:
      co_await sweep();
      break;
    case UpdateAction::kSaveJournal:
      co_await save_journal();
      break;
    case UpdateAction::kHeartbeat:
      hooks_.heartbeat_soon();
      break;
  }
}

Task<AnyUpdateEvent> Updater::get_manifest(Digest artifact) {
  auto held = co_await hold_manifest(artifact);
  if (!held) {
    const Errc code = held.error().code;
    if (is_link_trouble(code)) co_return Event::LinkFailed{artifact, 0, 0};
    counters_.manifests_refused += 1;
    const bool signature = code == Errc::kRefused;
    co_return rejected(artifact, signature ? "signature" : "manifest", held.error());
  }
  auto missing = store_.missing_from(*held);
  if (!missing) co_return rejected(artifact, "disk", missing.error());
  manifest_ = std::move(*held);
  missing_ = std::move(*missing);
  const auto free = env_.disk.free_bytes(options_.folder);
  if (!free) co_return rejected(artifact, "disk", free.error());
  co_return Event::ManifestHeld{artifact, missing_.size(), bytes_of(manifest_, missing_), *free};
}

Task<Result<Manifest>> Updater::hold_manifest(Digest artifact) {
  const auto key = hooks_.artifact_key();
  if (!key) co_return fail(Errc::kRefused, "no artifact key is pinned yet", artifact.short_hex());
  auto stored = co_await store_.get_manifest(artifact);
  // That of a local file may be unsigned, or signed by somebody else.
  const bool fetch = !stored || !verify_signature(*stored, *key);
  if (fetch) {
    CO_TRY(stored, co_await fetch_manifest(artifact));
  }
  CO_TRY_VOID(verify_signature(*stored, *key));
  CO_TRY(Manifest manifest, decode_manifest(stored->bytes));
  if (fetch) {
    CO_TRY_VOID(co_await store_.put_manifest(std::move(*stored)));
  }
  co_return manifest;
}

Task<Result<SignedManifest>> Updater::fetch_manifest(Digest artifact) {
  Buffer blob;
  Peer::OnPart on_part = [&blob](Message part, Buffer payload) -> Task<Result<void>> {
    const auto* piece = std::get_if<ManifestPart>(&part);
    const bool in_order = piece != nullptr && piece->offset == blob.size() &&
                          blob.size() + payload.size() <= kMaxManifestBytes;
    if (!in_order) co_return fail(Errc::kCorrupt, "manifest parts out of order or too large");
    append(blob, payload);
    co_return Result<void>{};
  };
  Message request = FetchManifest{artifact};
  CO_TRY_VOID(
      co_await uplink_.call_streaming(std::move(request), std::move(on_part), kFetchIdleLimit));
  CO_TRY(SignedManifest manifest, decode_signed_manifest(blob));
  if (manifest.digest() != artifact) {
    co_return fail(Errc::kCorrupt, "the manifest's digest differs", artifact.short_hex());
  }
  co_return manifest;
}

Task<AnyUpdateEvent> Updater::get_pages(Digest artifact) {
  Batch batch;
  for (const PageIndex page : missing_) {
    if (batch.wanted.size() == kPagesPerBatch) break;
    batch.wanted.emplace(manifest_.pages[page.value()].digest, page);
  }
  const Result<void> fetched = co_await fetch_batch(batch);
  std::erase_if(missing_, [&](PageIndex page) {
    const Digest& digest = manifest_.pages[page.value()].digest;
    return store_.contains(digest).value_or(false);
  });
  counters_.pages_fetched += batch.pages;
  counters_.bytes_fetched += batch.bytes;
  counters_.wire_bytes += batch.wire_bytes;
  if (batch.refused) {
    counters_.pages_refused += 1;
    co_return rejected(artifact, "page", *batch.refused);
  }
  if (!fetched && is_link_trouble(fetched.error().code)) {
    co_return Event::LinkFailed{artifact, batch.pages, batch.bytes};
  }
  if (!fetched) {
    const bool disk = is_disk_trouble(fetched.error().code);
    co_return rejected(artifact, disk ? "disk" : "page", fetched.error());
  }
  co_return Event::BatchStored{artifact, batch.pages, batch.bytes, missing_.size()};
}

Task<Result<void>> Updater::fetch_batch(Batch& batch) {
  FetchPages request{.pages = {}, .coded = true};
  for (const auto& [digest, page] : batch.wanted) request.pages.push_back(digest);
  Message message = std::move(request);
  Peer::OnPart on_part = [this, &batch](Message part, Buffer payload) -> Task<Result<void>> {
    co_return co_await take_page(batch, std::move(part), std::move(payload));
  };
  CO_TRY_VOID(
      co_await uplink_.call_streaming(std::move(message), std::move(on_part), kFetchIdleLimit));
  co_return Result<void>{};
}

Task<Result<void>> Updater::take_page(Batch& batch, Message part, Buffer payload) {
  const auto* header = std::get_if<PagePart>(&part);
  if (header == nullptr) co_return fail(Errc::kCorrupt, "a part that is no page");
  const auto wanted = batch.wanted.find(header->page);
  if (wanted == batch.wanted.end()) co_return Result<void>{};  // came already, or never asked for
  const PageEntry& entry = manifest_.pages[wanted->second.value()];
  const std::size_t came = payload.size();
  if (auto whole = unpack_page(batch.coder, *header, entry, payload); !whole) {
    whole.error().where = entry.digest.short_hex();
    batch.refused = whole.error();
    co_return whole;
  }
  const auto stored = co_await store_.put(entry.digest, payload);
  if (!stored) {
    if (stored.error().code == Errc::kCorrupt) batch.refused = stored.error();
    co_return stored;
  }
  batch.wanted.erase(wanted);
  batch.pages += 1;
  batch.bytes += payload.size();
  batch.wire_bytes += came;
  co_return Result<void>{};
}

Task<AnyUpdateEvent> Updater::run_canary(Digest artifact) {
  const auto synced = co_await store_.sync();
  if (!synced) co_return rejected(artifact, "disk", synced.error());
  if (hooks_.try_out) co_return co_await run_canary_within(artifact);
  const auto pages = co_await SlotPages::open(store_, artifact);
  if (!pages) co_return rejected(artifact, "page", pages.error());
  Result<void> passed;
  std::function<void()> job = [&] { passed = try_model(**pages, env_.compute.parallel()); };
  co_await env_.compute.run(std::move(job), canary_cost((*pages)->manifest()));
  if (passed) co_return Event::CanaryPassed{artifact};
  const std::vector<Digest> damaged = (*pages)->damaged();
  for (const Digest& page : damaged) {
    const auto removed = co_await store_.remove(page);
    if (!removed) env_.log.warn("page not removed", {{"reason", to_string(removed.error())}});
  }
  co_return rejected(artifact, damaged.empty() ? "canary" : "page", passed.error());
}

Task<AnyUpdateEvent> Updater::run_canary_within(Digest artifact) {
  Trial trial = [this](PageSource& pages, auto vocabulary) {
    return try_model(pages, env_.compute.parallel(), std::move(vocabulary));
  };
  const auto passed = co_await hooks_.try_out(artifact, std::move(trial), canary_cost(manifest_));
  if (passed) co_return Event::CanaryPassed{artifact};
  const Errc code = passed.error().code;
  const char* kind = code == Errc::kCorrupt || code == Errc::kNotFound        ? "page"
                     : code == Errc::kOutOfRoom || code == Errc::kUnavailable ? "room"
                     : is_disk_trouble(code)                                  ? "disk"
                                                                              : "canary";
  co_return rejected(artifact, kind, passed.error());
}

Task<AnyUpdateEvent> Updater::switch_slot(Digest artifact) {
  auto state = co_await slots_.commit(store_, artifact);
  if (!state) co_return rejected(artifact, "disk", state.error());
  slot_ = std::move(*state);
  counters_.switches += 1;
  env_.log.info("slot committed",
                {{"artifact", artifact.short_hex()}, {"generation", slot_->generation}});
  co_await hooks_.switched();
  co_return Event::Switched{artifact};
}

Task<void> Updater::sweep() {
  if (!slot_) co_return;
  std::vector<Digest> keep = hooks_.in_use();
  keep.push_back(slot_->active);
  if (slot_->previous) keep.push_back(*slot_->previous);
  std::ranges::sort(keep);
  keep.erase(std::ranges::unique(keep).begin(), keep.end());
  const auto removed = co_await store_.remove_unreferenced(std::move(keep));
  if (!removed) {
    env_.log.warn("old pages not removed", {{"reason", to_string(removed.error())}});
  } else if (removed->pages > 0) {
    env_.log.info("old pages removed", {{"pages", removed->pages}});
  }
}

Task<void> Updater::save_journal() {
  const std::string text = encode_journal(machine_.journal());
  const auto saved = co_await replace_file(env_.disk, options_.journal_path, as_bytes(text));
  if (!saved) env_.log.error("update journal not saved", {{"reason", to_string(saved.error())}});
}

AnyUpdateEvent Updater::rejected(const Digest& artifact, std::string kind, const Error& error) {
  counters_.failures += 1;
  std::string reason = std::move(kind) + ": " + to_string(error);
  env_.log.error("update refused", {{"artifact", artifact.short_hex()}, {"reason", reason}});
  return Event::Rejected{artifact, std::move(reason)};
}

}  // namespace skein
