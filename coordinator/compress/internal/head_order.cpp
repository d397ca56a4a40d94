#include "coordinator/compress/internal/head_order.h"

#include <cstring>

#include "common/base/check.h"

namespace skein {
namespace {

// A tile is a run of records that each hold an element of `bytes` of its 16 rows
// (kernels/ops/format.h): a plain format's columns, a quantized group's heads and planes.
struct TileRecords {
  std::size_t heads = 0;   // bytes of a row in a group's first record; 0: plain
  std::size_t planes = 0;  // records of 4 bytes a row after it
  std::size_t groups = 0;  // groups, or columns of a plain format
  std::size_t bytes = 0;   // of a row in a plain format's record
};

TileRecords records_of(const StoredShape& shape) {
  const std::size_t groups = (shape.cols + kGroup - 1) / kGroup;
  switch (shape.format) {
    case Format::kF32:
      return {.groups = shape.cols, .bytes = 4};
    case Format::kBf16:
    case Format::kF16:
      return {.groups = shape.cols, .bytes = 2};
    case Format::kQ8:
      return {.heads = 2, .planes = 8, .groups = groups};
    case Format::kQ6:
      return {.heads = 2, .planes = 6, .groups = groups};
    case Format::kQ5:
      return {.heads = 2, .planes = 5, .groups = groups};
    case Format::kQ4:
      return {.heads = 2, .planes = 4, .groups = groups};
  }
  CHECK(false);
}

void copy_row(const TileRecords& tile, const std::byte* from, std::size_t from_row, std::byte* to,
              std::size_t to_row) {
  const auto record = [&](std::size_t bytes) {
    std::memcpy(to + to_row * bytes, from + from_row * bytes, bytes);
    from += kTileRows * bytes;
    to += kTileRows * bytes;
  };
  for (std::size_t i = 0; i < tile.groups; ++i) {
    record(tile.heads == 0 ? tile.bytes : tile.heads);
    for (std::size_t plane = 0; plane < tile.planes; ++plane) record(4);
  }
}

}  // namespace

Buffer reordered_tiles(const StoredShape& shape, ByteView stored,
                       std::span<const std::uint32_t> order) {
  const std::size_t tile_bytes = stored_bytes(shape.format, Layout::kTiles, kTileRows, shape.cols);
  CHECK(order.size() == shape.rows);
  CHECK(stored.size() == stored_bytes(shape.format, Layout::kTiles, shape.rows, shape.cols));
  const TileRecords tile = records_of(shape);
  Buffer out(stored.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    copy_row(tile, stored.data() + order[i] / kTileRows * tile_bytes, order[i] % kTileRows,
             out.data() + i / kTileRows * tile_bytes, i % kTileRows);
  }
  return out;
}

Buffer rows_put_back(ByteView rows, std::size_t row_bytes, std::span<const std::uint32_t> order) {
  CHECK(rows.size() == order.size() * row_bytes);
  Buffer out(rows.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::memcpy(out.data() + order[i] * row_bytes, rows.data() + i * row_bytes, row_bytes);
  }
  return out;
}

}  // namespace skein
