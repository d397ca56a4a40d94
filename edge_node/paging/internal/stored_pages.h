// StoredPages: where an artifact's pages lie in its file, and what they must be. Immutable; any
// thread. WholeRange: what must be read for some bytes, given how reads are aligned.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/artifact/manifest.h"
#include "common/coding/page_coding.h"
#include "common/crypto/sha256.h"
#include "common/env/block_reads.h"
#include "edge_node/paging/pager_counters.h"

namespace skein::paging {

constexpr std::uint64_t page_aligned(std::uint64_t bytes) {  // to where the next page may begin
  return (bytes + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
}

struct WholeRange {
  WholeRange(std::uint64_t offset, std::uint64_t bytes, std::uint32_t alignment)
      : first(offset / alignment * alignment),
        lead(static_cast<std::uint32_t>(offset - first)),
        size((lead + bytes + alignment - 1) / alignment * alignment) {}
  std::uint64_t first;
  std::uint32_t lead;  // bytes before the wanted ones
  std::uint64_t size;
};

struct StoredPages {
  Manifest manifest;
  std::vector<std::uint64_t> offsets;  // of each page in the file
  std::vector<std::uint32_t> sizes;    // likewise, in the file
  bool coded = false;                  // the file's pages are (common/coding)
  std::string file;                    // for messages
  Digest digest;                       // of the manifest
  std::shared_ptr<DamagedPages> damaged{};

  // For whoever mends.
  void note_damage(std::uint32_t page) const {
    if (damaged) damaged->add(page);
  }
  // Its bytes stand in the file as they are in memory.
  bool is_plain(std::uint32_t page) const {
    return !coded || is_stored_page(sizes[page], manifest.pages[page].bytes);
  }
  // Errc::kCorrupt naming the page, unless `bytes` are what its hash says.
  Result<void> check(std::uint32_t page, ByteView bytes, Sha256& hasher) const;
  // Errc::kCorrupt naming the page, in which `part` is not what it must be.
  tl::unexpected<Error> does_not_match(std::uint32_t page, const std::string& part = {}) const;
  // An error of a read of that page, with the page named.
  Error of_page(std::uint32_t page, Error error) const;
  tl::unexpected<Error> does_not_decode(std::uint32_t page, const Error& error) const;
  // Where the bytes of a page that is not coded begin, in a file of coded ones, too.
  std::uint64_t data_at(std::uint32_t page) const {
    return offsets[page] + (coded ? kStoredAt : 0);
  }
  // What must be read for it.
  WholeRange range_of(std::uint32_t page, std::uint32_t alignment) const {
    return {offsets[page], sizes[page], alignment};
  }
};

// A little of what is to be done anyway, while a pass waits for storage; false: nothing is left.
using Meanwhile = std::function<bool()>;

inline constexpr std::chrono::seconds kReadDeadline{60};
tl::unexpected<Error> silent_storage(std::string file = {});  // after that

// Reads and waits, in reads of `piece` bytes, 16 at once. Errors as BlockReads'; kDeadline, after
// which reads may still be out: the next `call` of the same `reads` needs another number, and
// leaves theirs alone.
Result<void> read_now(BlockReads& reads, std::uint64_t offset, MutableByteView out,
                      std::uint64_t call, std::size_t piece = std::size_t{256} * 1024);

// Takes what has come of reads whose tags are places among `parts` of a buffer: each counts those
// that are out in `reading`, and keeps an error in `result`. Waits for `at_least`.
template <class Parts>
Result<void> take_parts(BlockReads& reads, Parts& parts, std::size_t at_least,
                        const std::string& file) {
  BlockReadDone done[BlockReads::kMostInFlight];
  const std::size_t taken = reads.wait(done, at_least, kReadDeadline);
  if (taken < std::min(at_least, std::size(done))) return silent_storage(file);
  for (std::size_t i = 0; i < taken; ++i) {
    auto& part = parts[done[i].tag];
    --part.reading;
    if (!done[i].result) part.result = std::move(done[i].result);
  }
  return {};
}

}  // namespace skein::paging
