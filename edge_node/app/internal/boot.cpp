#include "edge_node/app/internal/boot.h"

#include "edge_node/app/internal/memory_plan.h"

namespace skein {

namespace {

constexpr int kMaxBootTries = 6;  // two pointers, two artifacts each, and a second look

// Hashes every page of an artifact and forgets those that are damaged.
Task<Result<void>> forget_damage(ChunkStore& store, Digest artifact) {
  CO_TRY(const SignedManifest signed_manifest, co_await store.get_manifest(artifact));
  CO_TRY(Manifest manifest, decode_manifest(signed_manifest.bytes));
  CO_TRY_VOID(co_await store.scrub(std::move(manifest)));
  co_return Result<void>{};
}

}  // namespace

Task<Result<Boot>> boot_slot(Env env, ChunkStore& store, Slots& slots, ModelHost& host) {
  Boot boot;
  CO_TRY(boot.slot, co_await slots.load());
  if (!boot.slot) co_return boot;
  const Digest wanted = boot.slot->active;
  std::optional<Digest> booted;
  for (int i = 0; i < kMaxBootTries && !booted; ++i) {
    CO_TRY(const auto candidate, co_await slots.bootable(store));
    if (!candidate) break;
    const Result<void> loaded = co_await host.load(*candidate);
    if (loaded) {
      booted = *candidate;
      break;
    }
    if (is_budget_too_small(loaded.error())) co_return tl::unexpected<Error>(loaded.error());
    env.log.error("slot not usable",
                  {{"artifact", candidate->short_hex()}, {"reason", to_string(loaded.error())}});
    if (loaded.error().code == Errc::kOutOfRoom) {
      boot.to_repair = wanted;
      boot.no_room = loaded.error();
      co_return boot;
    }
    const Result<void> cleaned = co_await forget_damage(store, *candidate);
    if (!cleaned) break;
  }
  if (booted == wanted) co_return boot;
  boot.to_repair = wanted;
  if (booted) {
    // The pointer says what really runs; the repair switches it back.
    CO_TRY(boot.slot, co_await slots.commit(store, *booted));
  }
  env.log.warn("active slot is damaged",
               {{"artifact", wanted.short_hex()},
                {"running", booted ? booted->short_hex() : std::string("nothing")}});
  co_return boot;
}

}  // namespace skein
