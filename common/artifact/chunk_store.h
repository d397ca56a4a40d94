// ChunkStore: pages and manifests on disk by their hash, each in a file of its own, so that two
// versions of a model share what they have in common. Loop thread only; its owner keeps it alive
// while any of its tasks runs. One per root folder.
//
// Putting is idempotent and checked before the first byte is written; a file under its final name
// is whole, because it was synced before it was renamed. What is read is hashed again: a damaged
// file is removed, so that it counts as missing and is fetched again.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/artifact/manifest.h"
#include "common/env/disk.h"

namespace skein {

class ChunkStore {
 public:
  ChunkStore(Disk& disk, std::string root);
  ChunkStore(const ChunkStore&) = delete;
  ChunkStore& operator=(const ChunkStore&) = delete;

  // Once, before anything else: makes the folders and removes what a crash left half written.
  Task<Result<void>> open();

  // Errc::kCorrupt when `bytes` are not what `digest` names. On return the bytes are durable, their
  // name only after sync(): a crash may forget whole pages, never tear one. The caller keeps
  // `bytes`.
  Task<Result<void>> put(Digest digest, ByteView bytes);
  // Errc::kNotFound; kCorrupt when it was damaged (and has been removed).
  Task<Result<Buffer>> get(Digest digest);
  Result<bool> contains(const Digest& digest) const;
  Task<Result<void>> remove(Digest digest);  // absent is fine
  // Makes every name put so far durable.
  Task<Result<void>> sync();

  // Pages of `manifest` that are not here, in its order.
  Result<std::vector<PageIndex>> missing_from(const Manifest& manifest) const;
  // The same, after reading and hashing all that are here: damaged ones are removed and missing.
  Task<Result<std::vector<PageIndex>>> scrub(Manifest manifest);

  // Manifests, likewise by digest; durable on return. Signatures are kept, not judged.
  Task<Result<void>> put_manifest(SignedManifest manifest);
  Task<Result<SignedManifest>> get_manifest(Digest digest);
  Task<Result<std::vector<Digest>>> manifests();  // sorted

  struct Removed {
    std::uint32_t manifests = 0;
    std::uint32_t pages = 0;
  };
  // Removes every other manifest, and every page that none of `keep` uses. Removes nothing when one
  // of `keep` cannot be read. No page may be on its way in meanwhile, except those of `keep`.
  Task<Result<Removed>> remove_unreferenced(std::vector<Digest> keep);

  Disk& disk() const { return disk_; }
  std::string page_path(const Digest& digest) const;

 private:
  std::string folder_of(const Digest& digest) const;
  std::string manifest_path(const Digest& digest) const;
  Task<Result<void>> clean(std::string folder);
  Task<Result<void>> write_durably(std::string path, ByteView bytes);
  Task<Result<std::set<Digest>>> pages_used_by(std::vector<Digest> manifests);

  Disk& disk_;
  std::string root_;
  std::set<std::string> unsynced_folders_;
  std::set<std::string> made_folders_;
  std::uint64_t next_temporary_ = 0;
};

}  // namespace skein
