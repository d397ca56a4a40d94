// Slots: which artifact a device runs, and which one it ran before. SlotPages: a stored artifact as
// a PageSource. Loop thread only (SlotPages::page: one thread at a time).
//
// The pointer is two small checksummed files, written in turn, each by one atomic rename: whatever
// is torn or rots, the other still names an artifact that was whole when it was committed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/artifact/chunk_store.h"
#include "common/artifact/page_source.h"

namespace skein {

struct SlotState {
  std::uint64_t generation = 0;    // of the pointer: goes up by one at every switch
  Digest active;                   // manifests
  std::optional<Digest> previous;  // what roll_back() returns to
  friend bool operator==(const SlotState&, const SlotState&) = default;
};

class Slots {
 public:
  Slots(Disk& disk, std::string folder);  // the folder is made at the first commit

  // The newest readable pointer; nullopt before the first commit. Errc::kCorrupt when there are
  // pointers and none can be read.
  Task<Result<std::optional<SlotState>>> load();
  // Makes the store durable, checks that it holds the manifest and every page, then switches.
  // Committing what is active already changes nothing. Errc::kNotFound when something is missing.
  Task<Result<SlotState>> commit(ChunkStore& store, Digest manifest);
  // Commits `previous`. Errc::kConflict when there is none.
  Task<Result<SlotState>> roll_back(ChunkStore& store);
  // The first of: active, previous, and the older pointer's two, that the store holds whole.
  Task<Result<std::optional<Digest>>> bootable(ChunkStore& store);

 private:
  Task<Result<std::vector<SlotState>>> read_all();  // newest first
  std::string path_of(std::uint64_t generation) const;

  Disk& disk_;
  std::string folder_;
};

// Pages of one stored artifact, mapped and hashed at first use. The store outlives it.
class SlotPages final : public PageSource {
 public:
  // Errc::kNotFound when the manifest or a page is not in the store.
  static Task<Result<std::unique_ptr<SlotPages>>> open(ChunkStore& store, Digest manifest);

  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override;
  // Verified each time, mapped for as long as it takes.
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override;
  const SignedManifest& signed_manifest() const { return signed_; }
  // Pages found damaged so far: remove them from the store, and they will be fetched again.
  const std::vector<Digest>& damaged() const { return damaged_; }
  Result<void> verify_all();  // every page; the first that is wrong

 private:
  SlotPages(ChunkStore& store, SignedManifest signed_manifest, Manifest manifest);
  Result<std::unique_ptr<MappedFile>> map_verified(PageIndex index);

  ChunkStore& store_;
  SignedManifest signed_;
  Digest digest_;
  Manifest manifest_;
  std::vector<std::unique_ptr<MappedFile>> mapped_;  // of verified pages; null = not yet
  std::vector<Digest> damaged_;
};

}  // namespace skein
