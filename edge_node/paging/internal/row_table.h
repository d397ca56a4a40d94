// RowTable: a neuron-major matrix of which rows are read one by one: where they lie in the file,
// what they must be, which are kept, how lately they were wanted. Of a matrix in tiles a tile is a
// row here. RowReads: rows made into reads. Both of a NeuronCache or of HeadTiles; one thread.
#pragma once

#include <span>
#include <vector>

#include "common/crypto/tagger.h"
#include "edge_node/paging/internal/stored_pages.h"

namespace skein::paging {

// How tags are learned: out of verified pages, through a buffer.
struct TagLearning {
  const StoredPages& pages;
  BlockReads& reads;
  MutableByteView buffer;
  std::span<Tagger> taggers;  // a task each
  Parallel& parallel;
  PagerCounters& counters;
};

struct RowTable {
  static constexpr std::uint32_t kNowhere = ~0U;
  static constexpr std::uint32_t kRowsATask = 32;  // of learning

  static std::uint32_t tasks_of(std::size_t rows) {
    return static_cast<std::uint32_t>((rows + kRowsATask - 1) / kRowsATask);
  }

  RowTable(const StoredPages& pages, std::uint32_t tensor_index);

  std::uint32_t tensor = 0;  // of the manifest
  std::uint32_t unit = 1;    // stored rows of one here
  std::uint32_t rows = 0;
  std::uint32_t row_bytes = 0;
  std::span<const Segment> segments;
  std::vector<std::uint64_t> segment_offsets;  // in the file
  std::vector<Tag> tags;                       // of each row
  std::vector<std::uint32_t> places;           // where it is kept
  std::vector<std::uint8_t> uses;              // of late
  std::vector<std::uint8_t> recency;           // fading average of being wanted, 255 = always

  // Of its rows in segments from this one on: their pages are read once and verified.
  Result<void> learn_tags(const TagLearning& by, std::size_t first_segment = 0);
  std::uint32_t first_of(std::size_t segment) const { return segments[segment].first_row / unit; }
  std::size_t segment_of(std::uint32_t row) const;
  std::uint64_t offset_of(std::uint32_t row) const;
  std::uint32_t page_of(std::uint32_t row) const { return segments[segment_of(row)].page; }
  // A pass has told what it wants.
  void count(std::span<const std::uint8_t> wanted);
};

// Reads of rows in increasing order, neighbours together where what lies between them is no more
// than `gap` bytes. As many reads as `reads` has room for.
class RowReads {
 public:
  RowReads(const RowTable& table, std::uint32_t alignment, std::uint64_t gap,
           MutableByteView memory, std::vector<BlockRead>& reads)
      : table_(table), alignment_(alignment), gap_(gap), memory_(memory), reads_(reads) {}

  struct Row {
    std::byte* data = nullptr;  // where it will lie; nullptr: there is no room
    bool joined = false;        // what lies between it and the row before will be there, too
  };
  Row add(std::uint32_t row) { return add(table_.offset_of(row), table_.row_bytes); }
  Row add(std::uint64_t offset, std::uint64_t bytes);  // of the file
  std::uint64_t used() const { return used_; }         // bytes of the memory

  struct Mark {
    std::size_t reads = 0;
    std::uint64_t used = 0;
    BlockRead last;
  };
  Mark mark() const { return {reads_.size(), used_, reads_.empty() ? BlockRead{} : reads_.back()}; }
  void back_to(const Mark& mark);

 private:
  const RowTable& table_;
  std::uint32_t alignment_;
  std::uint64_t gap_;
  MutableByteView memory_;
  std::vector<BlockRead>& reads_;
  std::uint64_t used_ = 0;
};

}  // namespace skein::paging
