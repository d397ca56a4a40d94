// HeadTiles: tiles of a head that is not in memory as a whole, brought in as a screened pass wants
// them. Owned by a Pager; a pass's thread, which lends others.
//
// Tiles of pinned pages are there; a page that is kept coded is decoded when a tile of it is
// wanted. Of the other pages wanted tiles are read in file order, neighbours together, into one
// half of a buffer while the other is multiplied, and compared with tags that were learned from the
// verified pages at opening. Out of a page that is coded in the file no tile can be read: it comes
// and is decoded as a whole.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "common/artifact/page_source.h"
#include "common/crypto/tagger.h"
#include "common/env/env.h"
#include "edge_node/paging/internal/aligned_memory.h"
#include "edge_node/paging/internal/coded_pages.h"
#include "edge_node/paging/internal/row_table.h"
#include "edge_node/paging/pager_counters.h"

namespace skein::paging {

class HeadTiles {
 public:
  static constexpr std::uint32_t kMostArrivals = 256;  // of a half

  // Of a buffer of two halves: what is coded arrives by pages.
  static std::uint64_t least_half(std::uint64_t largest_read, std::uint32_t alignment);
  // Beside the buffer, of a head of so many tiles and pages.
  static std::uint64_t table_bytes(std::uint64_t tiles, std::uint64_t pages);

  // The first pages are pinned, the next kept coded, the others are read. Spans are of each page of
  // the artifact and outlive this, as does `coded`, which may be nullptr where nothing is.
  struct Options {
    std::uint32_t tensor = 0;
    std::uint32_t pinned_segments = 0;
    std::uint32_t coded_segments = 0;
    std::span<const std::byte* const> pinned_at;
    std::span<const ByteView> coded_at;
    CodedPages* coded = nullptr;
    std::uint64_t buffer_bytes = 0;
    TagKey tag_key{};
    Meanwhile meanwhile{};
  };
  HeadTiles(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
            PagerCounters& counters, Options options);

  // Reads every page once that tiles will be read out of, and verifies it.
  Result<void> learn_tags(MutableByteView page_buffer, Parallel& parallel);
  // As PagedTensors.
  Result<PagedTensors::Tiles> tiles_from(std::span<const std::uint8_t> wanted, std::uint32_t first,
                                         Parallel& parallel);

 private:
  using Wanted = std::span<const std::uint8_t>;
  struct Arrival {            // a tile, or a coded page, that is on its way or has come
    std::uint32_t first = 0;  // its (first) tile
    bool is_page = false;
    const std::byte* data = nullptr;
  };
  // One of the two halves of the buffer.
  struct Half {
    MutableByteView memory;
    std::vector<Arrival> arrivals;
    std::uint32_t next = 0;     // the first tile behind it
    std::uint32_t reading = 0;  // reads that are out
    Result<void> result;
  };

  std::uint32_t end_of(std::size_t segment) const;  // its tiles'
  void add_tile(std::uint32_t tile, const std::byte* data);
  void add_tiles_of(std::size_t segment, const std::byte* page, Wanted wanted, std::uint32_t first);
  Result<void> restart(Wanted wanted);
  std::uint32_t take_pinned(Wanted wanted, std::uint32_t first);
  Result<std::uint32_t> take_coded(Wanted wanted, std::uint32_t first, Parallel& parallel);
  Result<std::uint32_t> take_read(Wanted wanted, Parallel& parallel);
  void plan_reads(Half& half, Wanted wanted);
  Result<void> begin(Half& half, Wanted wanted);
  Result<void> collect(std::size_t at_least);
  Result<void> wait_for(Half& half);
  Result<void> verify(Half& half, Parallel& parallel);
  Result<void> decode(std::span<const CodedPage> pages, Parallel& parallel);

  const StoredPages& pages_;
  Clock& clock_;
  PagerCounters& counters_;
  Options options_;
  RowTable table_;
  std::size_t first_read_;  // segment
  AlignedMemory buffer_;
  std::vector<RowBlock> runs_;          // that are handed over
  std::vector<CodedPage> bringing_;     // scratch
  std::vector<std::uint32_t> brought_;  // scratch: their segments
  std::vector<BlockRead> planned_;      // scratch
  std::array<Half, 2> halves_;
  std::uint32_t half_ = 0;             // which is taken next
  bool taken_ = false;                 // the other one was
  std::uint32_t begun_ = 0;            // reads are out for tiles before
  std::vector<Tagger> taggers_;        // a task each
  std::vector<std::uint8_t> right_;    // scratch: of arrivals
  std::unique_ptr<BlockReads> reads_;  // last: gone before the memory that it writes to
};

}  // namespace skein::paging
