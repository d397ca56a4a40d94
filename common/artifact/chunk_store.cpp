// On disk, below the root: pages/ab/<64 hex digits> and manifests/<64 hex digits>. Anything else in
// those folders is a temporary that a crash left.
#include "common/artifact/chunk_store.h"

#include <algorithm>

#include "common/artifact/internal/layout.h"
#include "common/artifact/internal/new_file.h"
#include "common/crypto/sha256.h"

namespace skein {

using namespace internal;

ChunkStore::ChunkStore(Disk& disk, std::string root) : disk_(disk), root_(std::move(root)) {}

std::string ChunkStore::folder_of(const Digest& digest) const {
  return join_path(join_path(root_, "pages"), digest.hex().substr(0, 2));
}
std::string ChunkStore::page_path(const Digest& digest) const {
  return join_path(folder_of(digest), digest.hex());
}
std::string ChunkStore::manifest_path(const Digest& digest) const {
  return join_path(join_path(root_, "manifests"), digest.hex());
}

Task<Result<void>> ChunkStore::open() {
  const std::string pages = join_path(root_, "pages");
  const std::string manifest_folder = join_path(root_, "manifests");
  CO_TRY_VOID(co_await disk_.make_directories(pages));
  CO_TRY_VOID(co_await disk_.make_directories(manifest_folder));
  CO_TRY_VOID(co_await clean(manifest_folder));
  CO_TRY(const auto folders, co_await disk_.list(pages));
  for (const std::string& name : folders) {
    const std::string folder = join_path(pages, name);
    CO_TRY_VOID(co_await clean(folder));
    made_folders_.insert(folder);
  }
  // What a killed process put may not be durable yet: the first sync() makes sure.
  unsynced_folders_ = made_folders_;
  co_return Result<void>{};
}

Task<Result<void>> ChunkStore::clean(std::string folder) {
  CO_TRY(const auto names, co_await disk_.list(folder));
  for (const std::string& name : names) {
    if (name.ends_with(kTemporarySuffix)) {
      CO_TRY_VOID(co_await disk_.remove(join_path(folder, name)));
    }
  }
  co_return Result<void>{};
}

// Two tasks may put the same bytes at once: each writes a temporary of its own.
Task<Result<void>> ChunkStore::write_durably(std::string path, ByteView bytes) {
  NewFile file(disk_, path,
               path + "." + std::to_string(next_temporary_++) + std::string(kTemporarySuffix));
  auto written = co_await file.append(bytes);
  if (written) written = co_await file.commit();
  if (!written) co_await file.discard();
  co_return written;
}

Task<Result<void>> ChunkStore::put(Digest digest, ByteView bytes) {
  if (bytes.empty() || bytes.size() > kMaxPageBytes || sha256(bytes) != digest) {
    co_return fail(Errc::kCorrupt,
                   "the " + std::to_string(bytes.size()) + " bytes that came are not page " +
                       digest.short_hex(),
                   {}, "fetch the page again");
  }
  const auto present = co_await get(digest);  // removes a damaged one
  if (present) co_return Result<void>{};
  if (!is_damage(present.error())) co_return tl::unexpected<Error>(present.error());
  const std::string folder = folder_of(digest);
  if (!made_folders_.contains(folder)) {
    CO_TRY_VOID(co_await disk_.make_directories(folder));
    made_folders_.insert(folder);
  }
  CO_TRY_VOID(co_await write_durably(page_path(digest), bytes));
  unsynced_folders_.insert(folder);
  co_return Result<void>{};
}

Task<Result<void>> ChunkStore::sync() {
  while (!unsynced_folders_.empty()) {
    const std::string folder = *unsynced_folders_.begin();
    unsynced_folders_.erase(folder);  // first: a put during the wait enters it again
    if (const auto synced = co_await disk_.sync_directory(folder); !synced) {
      unsynced_folders_.insert(folder);
      co_return synced;
    }
  }
  co_return Result<void>{};
}

Result<bool> ChunkStore::contains(const Digest& digest) const {
  return disk_.exists(page_path(digest));
}

Task<Result<Buffer>> ChunkStore::get(Digest digest) {
  const std::string path = page_path(digest);
  auto bytes = co_await read_file(disk_, path, kMaxPageBytes);
  if (!bytes && bytes.error().code != Errc::kCorrupt) {
    co_return tl::unexpected<Error>(std::move(bytes.error()));
  }
  if (bytes && sha256(*bytes) == digest) co_return std::move(*bytes);
  CO_TRY_VOID(co_await remove(digest));
  co_return fail(Errc::kCorrupt,
                 "page " + digest.short_hex() + " did not match its hash and was removed", path,
                 "fetch the page again");
}

Task<Result<void>> ChunkStore::remove(Digest digest) {
  CO_TRY_VOID(co_await disk_.remove(page_path(digest)));
  unsynced_folders_.insert(folder_of(digest));
  co_return Result<void>{};
}

Result<std::vector<PageIndex>> ChunkStore::missing_from(const Manifest& manifest) const {
  std::vector<PageIndex> missing;
  for (std::uint32_t i = 0; i < manifest.pages.size(); ++i) {
    TRY(const bool present, contains(manifest.pages[i].digest));
    if (!present) missing.emplace_back(i);
  }
  return missing;
}

Task<Result<std::vector<PageIndex>>> ChunkStore::scrub(Manifest manifest) {
  for (const PageEntry& page : manifest.pages) {
    const auto bytes = co_await get(page.digest);
    const bool expected =
        bytes || bytes.error().code == Errc::kCorrupt || bytes.error().code == Errc::kNotFound;
    if (!expected) co_return tl::unexpected<Error>(bytes.error());
  }
  co_return missing_from(manifest);
}

Task<Result<void>> ChunkStore::put_manifest(SignedManifest manifest) {
  const std::string path = manifest_path(manifest.digest());
  const Buffer blob = encode_signed_manifest(manifest);
  CO_TRY_VOID(co_await write_durably(path, blob));
  co_return co_await disk_.sync_directory(parent_path(path));
}

Task<Result<SignedManifest>> ChunkStore::get_manifest(Digest digest) {
  const std::string path = manifest_path(digest);
  auto blob = co_await read_file(disk_, path, kMaxManifestBytes + kSignedManifestPrefix);
  if (!blob && blob.error().code != Errc::kCorrupt) {
    co_return tl::unexpected<Error>(std::move(blob.error()));
  }
  if (blob) {
    auto manifest = decode_signed_manifest(*blob);
    if (manifest && manifest->digest() == digest) co_return std::move(*manifest);
  }
  CO_TRY_VOID(co_await disk_.remove(path));
  co_return fail(Errc::kCorrupt,
                 "manifest " + digest.short_hex() + " did not match its hash and was removed", path,
                 "fetch the manifest again");
}

Task<Result<std::vector<Digest>>> ChunkStore::manifests() {
  CO_TRY(const auto names, co_await disk_.list(join_path(root_, "manifests")));
  std::vector<Digest> digests;
  for (const std::string& name : names) {
    if (const auto digest = Digest::from_hex(name)) digests.push_back(*digest);
  }
  co_return digests;
}

Task<Result<std::set<Digest>>> ChunkStore::pages_used_by(std::vector<Digest> manifests) {
  std::set<Digest> used;
  for (const Digest& digest : manifests) {
    CO_TRY(const SignedManifest kept, co_await get_manifest(digest));
    CO_TRY(const Manifest manifest, decode_manifest(kept.bytes));
    for (const PageEntry& page : manifest.pages) used.insert(page.digest);
  }
  co_return used;
}

Task<Result<ChunkStore::Removed>> ChunkStore::remove_unreferenced(std::vector<Digest> keep) {
  CO_TRY(const std::set<Digest> used, co_await pages_used_by(keep));
  Removed removed;
  CO_TRY(const std::vector<Digest> known, co_await manifests());
  for (const Digest& digest : known) {
    if (std::find(keep.begin(), keep.end(), digest) != keep.end()) continue;
    CO_TRY_VOID(co_await disk_.remove(manifest_path(digest)));
    ++removed.manifests;
  }
  const std::string pages = join_path(root_, "pages");
  CO_TRY(const auto folders, co_await disk_.list(pages));
  for (const std::string& folder : folders) {
    CO_TRY(const auto names, co_await disk_.list(join_path(pages, folder)));
    for (const std::string& name : names) {
      const auto digest = Digest::from_hex(name);
      if (!digest || used.contains(*digest)) continue;
      CO_TRY_VOID(co_await remove(*digest));
      ++removed.pages;
    }
  }
  CO_TRY_VOID(co_await disk_.sync_directory(join_path(root_, "manifests")));
  CO_TRY_VOID(co_await sync());
  co_return removed;
}

}  // namespace skein
