#include "edge_node/update/install.h"

#include "common/artifact/artifact_file.h"
#include "edge_node/update/internal/canary.h"

namespace skein {

namespace {

constexpr std::size_t kMaxMarkerBytes = 256;

Task<Result<void>> put_missing(ChunkStore& store, ArtifactFile& file) {
  const Manifest& manifest = file.manifest();
  Manifest wanted = manifest;
  CO_TRY(const auto missing, co_await store.scrub(std::move(wanted)));
  Buffer bytes;  // one page at a time: a coded file would keep all that it decoded
  for (const PageIndex page : missing) {
    const PageEntry& entry = manifest.pages[page.value()];
    bytes.resize(entry.bytes);
    CO_TRY_VOID(file.read(page, 0, bytes));
    CO_TRY_VOID(co_await store.put(entry.digest, bytes));
  }
  SignedManifest signed_manifest = file.signed_manifest();
  const auto known = co_await store.get_manifest(file.digest());
  if (!known || signed_manifest.is_signed()) {
    CO_TRY_VOID(co_await store.put_manifest(std::move(signed_manifest)));
  }
  co_return co_await store.sync();
}

Task<Result<void>> run_canary(Env env, ChunkStore& store, Digest artifact, const TryOut& try_out) {
  constexpr Duration kCost = std::chrono::milliseconds(100);
  if (try_out) {
    Trial trial = [parallel = &env.compute.parallel()](auto& from, auto vocabulary) {
      return try_model(from, *parallel, std::move(vocabulary));
    };
    co_return co_await try_out(artifact, std::move(trial), kCost);
  }
  CO_TRY(const auto pages, co_await SlotPages::open(store, artifact));
  Result<void> passed;
  std::function<void()> job = [&] { passed = try_model(*pages, env.compute.parallel()); };
  co_await env.compute.run(std::move(job), kCost);
  co_return passed;
}

}  // namespace

Task<Result<std::optional<SlotState>>> install_artifact(Env env, ChunkStore& store, Slots& slots,
                                                        InstallOptions options) {
  CO_TRY(const auto file, open_artifact(env.disk, options.artifact_path));
  const std::string digest = file->digest().hex();
  const auto marker = co_await read_file(env.disk, options.marker_path, kMaxMarkerBytes);
  if (marker && as_text(*marker) == digest) co_return std::optional<SlotState>();
  if (options.key) {
    CO_TRY_VOID(file->verify_signature(*options.key));
  }
  CO_TRY_VOID(co_await put_missing(store, *file));
  CO_TRY_VOID(co_await run_canary(env, store, file->digest(), options.try_out));
  CO_TRY(SlotState state, co_await slots.commit(store, file->digest()));
  CO_TRY_VOID(co_await replace_file(env.disk, options.marker_path, as_bytes(digest)));
  env.log.info("artifact installed", {{"file", options.artifact_path},
                                      {"artifact", file->digest().short_hex()},
                                      {"signature", options.key ? "checked" : "not checked"}});
  co_return std::optional<SlotState>(std::move(state));
}

}  // namespace skein
