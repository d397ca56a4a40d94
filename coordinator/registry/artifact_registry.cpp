#include "coordinator/registry/artifact_registry.h"

#include "common/artifact/artifact_file.h"
#include "common/artifact/slots.h"
#include "coordinator/registry/internal/coded_pages.h"

namespace skein {

ArtifactRegistry::ArtifactRegistry(Env env, Store& store, ChunkStore& chunks,
                                   const Authority& authority, Options options)
    : env_(env),
      store_(store),
      chunks_(chunks),
      authority_(authority),
      options_(std::move(options)),
      coded_(std::make_unique<CodedPages>(env)) {}
ArtifactRegistry::~ArtifactRegistry() = default;

Task<Result<void>> ArtifactRegistry::restore() {
  CO_TRY_VOID(co_await env_.disk.make_directories(options_.inbox));
  CO_TRY(const auto left, co_await env_.disk.list(options_.inbox));
  for (const std::string& name : left)
    CO_TRY_VOID(co_await env_.disk.remove(join_path(options_.inbox, name)));
  CO_TRY(const auto rows, store_.artifacts());
  for (const ArtifactRow& row : rows) {
    CO_TRY(const auto stored, co_await chunks_.get_manifest(row.digest));
    CO_TRY(const auto manifest, decode_manifest(stored.bytes));
    remember(row, manifest);
  }
  co_return Result<void>{};
}

void ArtifactRegistry::remember(const ArtifactRow& row, const Manifest& manifest) {
  rows_.insert_or_assign(row.digest, row);
  auto parts = parts_of_pages(manifest);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    pages_.try_emplace(manifest.pages[i].digest, std::move(parts[i]));
  }
}

Task<Result<ArtifactRow>> ArtifactRegistry::import_upload(std::string body) {
  const std::string path =
      join_path(options_.inbox, "upload-" + std::to_string(next_upload_++) + ".skein");
  CO_TRY_VOID(co_await replace_file(env_.disk, path, as_bytes(body)));
  body = {};  // the file holds it from here
  auto imported = co_await import_file(path);
  CO_TRY_VOID(co_await env_.disk.remove(path));
  if (!imported && imported.error().where == path) imported.error().where = "the upload";
  co_return imported;
}

Task<Result<ArtifactRow>> ArtifactRegistry::import_file(std::string path) {
  CO_TRY(const auto file, open_artifact(env_.disk, path));
  const SignedManifest& signed_manifest = file->signed_manifest();
  if (signed_manifest.is_signed())
    CO_TRY_VOID(verify_signature(signed_manifest, signed_manifest.signer));
  co_return co_await import_from(*file);
}

Task<Result<ArtifactRow>> ArtifactRegistry::import_pages(std::shared_ptr<PageSource> pages) {
  co_return co_await import_from(*pages);
}

// Pages, then the manifest, then the row: each is durable before the next names it.
Task<Result<ArtifactRow>> ArtifactRegistry::import_from(PageSource& pages) {
  const Manifest& manifest = pages.manifest();
  SignedManifest signed_manifest = sign_manifest(manifest, authority_.artifact_key());
  const Digest digest = signed_manifest.digest();
  CO_TRY(const ArtifactRow row, row_for(manifest, digest));
  CO_TRY(const auto missing, chunks_.missing_from(manifest));
  if (const ArtifactRow* known = find(digest); known != nullptr && missing.empty())
    co_return *known;
  Buffer bytes;  // one page at a time, whatever the source would keep
  for (std::uint32_t index = 0; index < manifest.pages.size(); ++index) {
    bytes.resize(manifest.pages[index].bytes);
    CO_TRY_VOID(pages.read(PageIndex{index}, 0, bytes));
    CO_TRY_VOID(co_await chunks_.put(manifest.pages[index].digest, bytes));
  }
  CO_TRY_VOID(co_await chunks_.sync());
  CO_TRY_VOID(co_await chunks_.put_manifest(std::move(signed_manifest)));
  CO_TRY_VOID(store_.put_artifact(row));
  remember(row, manifest);
  env_.log.info("artifact imported", {{"artifact", digest.short_hex()},
                                      {"name", row.name},
                                      {"version", row.version},
                                      {"bytes", row.bytes}});
  co_return row;
}

Result<ArtifactRow> ArtifactRegistry::row_for(const Manifest& manifest,
                                              const Digest& digest) const {
  if (rows_.size() >= kMaxArtifacts) {
    return fail(Errc::kOutOfRoom,
                "the registry holds " + std::to_string(kMaxArtifacts) + " artifacts already");
  }
  ArtifactRow row;
  row.digest = digest;
  row.name = manifest.name;
  row.version = manifest.version;
  row.architecture = name_of(manifest.config.architecture);
  for (const PageEntry& page : manifest.pages) row.bytes += page.bytes;
  row.pages = static_cast<std::uint32_t>(manifest.pages.size());
  row.parent = manifest.parent;
  row.imported = env_.clock.wall_now().time_since_epoch().count();
  return row;
}

const ArtifactRow* ArtifactRegistry::find(const Digest& artifact) const {
  const auto found = rows_.find(artifact);
  return found == rows_.end() ? nullptr : &found->second;
}

Result<void> ArtifactRegistry::require(const Digest& artifact) const {
  if (find(artifact) != nullptr) return {};
  return fail(Errc::kNotFound, "artifact " + artifact.short_hex() + " is not registered", {},
              "`skein model ls` lists those that are");
}

Task<Result<Manifest>> ArtifactRegistry::manifest(Digest artifact) {
  CO_TRY_VOID(require(artifact));
  CO_TRY(const auto stored, co_await chunks_.get_manifest(artifact));
  co_return decode_manifest(stored.bytes);
}

Task<Result<Buffer>> ArtifactRegistry::signed_manifest_blob(Digest artifact) {
  CO_TRY_VOID(require(artifact));
  CO_TRY(const auto stored, co_await chunks_.get_manifest(artifact));
  co_return encode_signed_manifest(stored);
}

Task<Result<Buffer>> ArtifactRegistry::page(Digest page) {
  if (!pages_.contains(page)) {
    co_return fail(Errc::kNotFound, "page " + page.short_hex() + " is of no registered artifact");
  }
  co_return co_await chunks_.get(page);
}

Task<Result<PageToSend>> ArtifactRegistry::coded_page(Digest digest) {
  auto kept = coded_->find(digest);
  if (kept && !kept->empty()) co_return PageToSend{std::move(kept), true};
  CO_TRY(Buffer whole, co_await page(digest));
  auto plain = std::make_shared<const Buffer>(std::move(whole));
  if (!kept) {
    // Copies: the job runs while other devices ask.
    Buffer to_code = *plain;
    std::vector<PageSegment> parts = pages_.at(digest);
    kept = co_await coded_->code(digest, std::move(to_code), std::move(parts));
  }
  if (!kept || kept->empty()) co_return PageToSend{std::move(plain), false};
  co_return PageToSend{std::move(kept), true};
}

Task<Result<std::shared_ptr<PageSource>>> ArtifactRegistry::open(Digest artifact) {
  CO_TRY_VOID(require(artifact));
  if (auto held = open_[artifact].lock()) co_return held;
  CO_TRY(auto opened, co_await SlotPages::open(chunks_, artifact));
  std::shared_ptr<PageSource> shared = std::move(opened);
  open_[artifact] = shared;
  co_return shared;
}

}  // namespace skein
