// EmbeddingTable: a small cache of stored rows in front of the pages.
#include <algorithm>

#include "common/base/check.h"
#include "common/model/weights.h"

namespace skein {

EmbeddingTable::EmbeddingTable(PageSource& pages, const TensorEntry& tensor)
    : pages_(pages),
      tensor_(tensor),
      row_bytes_(stored_bytes(tensor.format, tensor.layout, 1, tensor.cols)),
      kept_(kKeptRows),
      bytes_(std::make_unique_for_overwrite<std::byte[]>(kKeptRows * row_bytes_)) {
  CHECK(tensor.layout == Layout::kRows);
}

Result<void> EmbeddingTable::read_row(std::uint32_t row, std::span<float> out) {
  CHECK(row < rows() && out.size() == cols());
  const std::lock_guard lock(mutex_);
  const auto set = std::span(kept_).subspan(row % (kKeptRows / kWays) * kWays, kWays);
  auto place = std::ranges::find_if(
      set, [&](const Kept& kept) { return kept.last_use != 0 && kept.row == row; });
  const bool found = place != set.end();
  if (!found) place = std::ranges::min_element(set, {}, &Kept::last_use);
  const auto at = static_cast<std::size_t>(&*place - kept_.data()) * row_bytes_;
  const MutableByteView stored{bytes_.get() + at, row_bytes_};
  if (!found) {
    place->last_use = 0;
    TRY_VOID(fetch(row, stored));
    place->row = row;
  }
  place->last_use = ++uses_;
  skein::read_row(tensor_.format, tensor_.cols, stored.data(), out);
  return {};
}

Result<void> EmbeddingTable::fetch(std::uint32_t row, MutableByteView stored) {
  const auto after = std::ranges::upper_bound(tensor_.segments, row, {}, &Segment::first_row);
  CHECK(after != tensor_.segments.begin());
  const Segment& segment = *(after - 1);
  const std::uint64_t offset = segment.offset + std::uint64_t{row - segment.first_row} * row_bytes_;
  return pages_.read(PageIndex(segment.page), offset, stored);
}

}  // namespace skein
