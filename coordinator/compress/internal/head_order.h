// The head's rows in another order, stored byte for byte. Pure; any thread.
#pragma once

#include <span>

#include "common/base/bytes.h"
#include "common/checkpoint/checkpoint.h"
#include "kernels/ops/format.h"

namespace skein {

struct StoredShape {
  Format format = Format::kF32;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
};

// Row i of what comes out is row order[i] of `stored` (kTiles): the same codes and scales.
Buffer reordered_tiles(const StoredShape& shape, ByteView stored,
                       std::span<const std::uint32_t> order);

// Row order[i] of what comes out is row i of `rows`, elements of `row_bytes` together.
Buffer rows_put_back(ByteView rows, std::size_t row_bytes, std::span<const std::uint32_t> order);

}  // namespace skein
