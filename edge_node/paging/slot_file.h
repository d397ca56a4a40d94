// SlotFiles: stored artifacts laid out in one file each, as passes under a budget read them. The
// store's pages stay the truth: a file is made from them when it is missing, and mended from them.
// Owned by the app; loop thread only. The store outlives it.
#pragma once

#include <string>
#include <vector>

#include "common/artifact/chunk_store.h"

namespace skein {

inline constexpr std::uint64_t kSlotFileReserve = 8U << 20;  // left free on the disk

class SlotFiles {
 public:
  SlotFiles(ChunkStore& store, std::string folder);

  // The file of an artifact that the store holds whole, made unless it is there. Every page is
  // compared with its hash; one that is damaged is removed from the store (Errc::kCorrupt).
  // Errc::kOutOfRoom says how much is missing on the disk; nothing half made is left then.
  Task<Result<std::string>> lay_out(Digest artifact);
  // Writes a page into its artifact's file. Errc::kCorrupt when `bytes` are not that page, or when
  // the file is no longer one of this artifact and must be laid out anew.
  Task<Result<void>> mend(Digest artifact, PageIndex page, ByteView bytes);
  Task<void> remove(Digest artifact);                           // its file
  Task<Result<void>> keep_only(std::vector<Digest> artifacts);  // removes all other files

 private:
  std::string path_of(const Digest& artifact) const;
  Task<Result<void>> make_room(Digest artifact, std::uint64_t bytes);

  ChunkStore& store_;
  std::string folder_;
};

}  // namespace skein
