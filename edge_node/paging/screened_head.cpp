#include "edge_node/paging/internal/screened_head.h"

#include <algorithm>
#include <string>

#include "common/coding/page_coding.h"
#include "edge_node/paging/internal/head_tiles.h"

namespace skein::paging {

namespace {

// Of the tiles, for the largest logit; generously (coordinator/compress/internal/HEAD.md).
constexpr double kLeft = 0.125;
constexpr std::uint64_t kMostBuffer = std::uint64_t{512} << 10;
constexpr std::uint64_t kPartOfHead = 32;

std::uint64_t tile_bytes(const TensorEntry& head) {
  return stored_bytes(head.format, head.layout, kTileRows, head.cols);
}

}  // namespace

std::uint32_t stored_bytes_of(const Manifest& manifest, const ResidencyRequest& request,
                              std::uint32_t page) {
  return request.stored.empty() ? manifest.pages[page].bytes : request.stored[page];
}

bool is_plain(const Manifest& manifest, const ResidencyRequest& request, std::uint32_t page) {
  return !request.coded ||
         is_stored_page(stored_bytes_of(manifest, request, page), manifest.pages[page].bytes);
}

bool ScreenedHead::is_there() const {
  return head_ != nullptr && find_tensor(manifest_, std::string(kHeadScreen) + "sketch") != nullptr;
}

// A coded page is read if any tile of it is wanted.
double ScreenedHead::share_read(std::uint32_t page) const {
  const double tiles = manifest_.pages[page].bytes / static_cast<double>(tile_bytes(*head_));
  const double together = is_plain(manifest_, request_, page) ? 1 : std::max(1.0, tiles);
  return 1 - request_.largest_share * (1 - std::min(1.0, kLeft * together));
}

std::uint64_t ScreenedHead::buffer_bytes() const {
  std::uint64_t most = tile_bytes(*head_);
  for (const Segment& segment : head_->segments) {
    if (is_plain(manifest_, request_, segment.page)) continue;
    most = std::max<std::uint64_t>(most, stored_bytes_of(manifest_, request_, segment.page));
  }
  const std::uint64_t least = 2 * HeadTiles::least_half(most, request_.alignment);
  const std::uint64_t head = stored_bytes(head_->format, head_->layout, head_->rows, head_->cols);
  return std::max(least, std::min(kMostBuffer, head / kPartOfHead / 4096 * 4096));
}

std::uint64_t ScreenedHead::table_bytes() const {
  return HeadTiles::table_bytes((head_->rows + kTileRows - 1) / kTileRows, head_->segments.size());
}

}  // namespace skein::paging
