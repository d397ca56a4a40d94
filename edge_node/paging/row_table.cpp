#include "edge_node/paging/internal/row_table.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::paging {

namespace {

constexpr std::uint64_t kMostRead = std::uint64_t{256} * 1024;

}  // namespace

RowTable::RowTable(const StoredPages& pages, std::uint32_t tensor_index) : tensor(tensor_index) {
  const TensorEntry& entry = pages.manifest.tensors[tensor];
  unit = entry.layout == Layout::kTiles ? kTileRows : 1;
  rows = (entry.rows + unit - 1) / unit;
  row_bytes = static_cast<std::uint32_t>(stored_bytes(entry.format, entry.layout, 1, entry.cols));
  segments = entry.segments;
  for (const Segment& segment : segments) {
    segment_offsets.push_back(pages.data_at(segment.page) + segment.offset);
  }
  tags.resize(rows);
  places.assign(rows, kNowhere);
  uses.resize(rows);
  recency.resize(rows);
}

std::size_t RowTable::segment_of(std::uint32_t row) const {
  const auto after = std::ranges::upper_bound(segments, row * unit, {}, &Segment::first_row);
  return static_cast<std::size_t>(after - segments.begin()) - 1;
}

std::uint64_t RowTable::offset_of(std::uint32_t row) const {
  const std::size_t index = segment_of(row);
  return segment_offsets[index] + std::uint64_t{row - first_of(index)} * row_bytes;
}

Result<void> RowTable::learn_tags(const TagLearning& by, std::size_t first_segment) {
  struct Job {
    RowTable& table;
    std::uint32_t first, rows;
    const std::byte* data;
    std::span<Tagger> taggers;
    void run(std::size_t task) const {
      const std::uint32_t from = static_cast<std::uint32_t>(task) * kRowsATask;
      for (std::uint32_t row = from; row < std::min(from + kRowsATask, rows); ++row) {
        const ByteView bytes(data + std::size_t{row} * table.row_bytes, table.row_bytes);
        table.tags[first + row] = taggers[task].of(bytes);
      }
    }
  };
  Sha256 hasher;
  for (std::size_t i = first_segment; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    if (!by.pages.is_plain(segment.page)) continue;
    const std::uint32_t bytes = by.pages.manifest.pages[segment.page].bytes;
    const WholeRange range(by.pages.data_at(segment.page), bytes, by.reads.alignment());
    CHECK(range.size <= by.buffer.size());
    if (auto read = read_now(by.reads, range.first, by.buffer.first(range.size), 0); !read) {
      return tl::unexpected<Error>(by.pages.of_page(segment.page, std::move(read.error())));
    }
    by.counters.bytes_read += range.size;
    const ByteView page = by.buffer.subspan(range.lead, bytes);
    TRY_VOID(by.pages.check(segment.page, page, hasher));
    const std::uint32_t count = (segment.rows + unit - 1) / unit;
    CHECK(tasks_of(count) <= by.taggers.size());
    Job job{*this, first_of(i), count, page.data() + segment.offset, by.taggers};
    run_tasks(by.parallel, tasks_of(count), job);
  }
  return {};
}

void RowTable::count(std::span<const std::uint8_t> wanted) {
  CHECK(wanted.size() == rows);
  for (std::uint32_t row = 0; row < rows; ++row) {
    const unsigned fired = wanted[row] != 0 ? 1 : 0;
    recency[row] = static_cast<std::uint8_t>(recency[row] * 3U / 4 + fired * 63);
    if (uses[row] < 255) uses[row] = static_cast<std::uint8_t>(uses[row] + fired);
  }
}

RowReads::Row RowReads::add(std::uint64_t offset, std::uint64_t bytes) {
  const WholeRange range(offset, bytes, alignment_);
  const std::uint64_t stop = range.first + range.size;
  if (!reads_.empty()) {
    BlockRead& last = reads_.back();
    const std::uint64_t last_stop = last.offset + last.out.size();
    if (range.first >= last.offset && range.first <= last_stop + gap_ &&
        stop - last.offset <= kMostRead) {
      const std::uint64_t more = stop > last_stop ? stop - last_stop : 0;
      if (used_ + more > memory_.size()) return {};
      last.out = {last.out.data(), last.out.size() + more};
      used_ += more;
      return {last.out.data() + (offset - last.offset), true};
    }
  }
  if (used_ + range.size > memory_.size() || reads_.size() == reads_.capacity()) return {};
  reads_.push_back({range.first, memory_.subspan(used_, range.size), 0});
  used_ += range.size;
  return {reads_.back().out.data() + range.lead, false};
}

void RowReads::back_to(const Mark& mark) {
  reads_.resize(mark.reads);
  used_ = mark.used;
  if (!reads_.empty()) reads_.back() = mark.last;
}

}  // namespace skein::paging
