// The int8 codes and scales of quantized weights, one at a time: for the scalar reference. Private
// to kernels/ops; pure, any thread.
#pragma once

#include "kernels/ops/internal/packed.h"

namespace skein {

// A group of one stored row as its codes are multiplied: q8's as they are, the others as
// u * step - zero.
struct GroupCodes {
  std::int8_t codes[kGroup] = {};
  float scale = 0;
};

// Of row `row` and group `group` of a matrix of `cols` columns whose storage starts at `stored`
// (kRows: one row, row 0; kTiles: tiles).
float group_scale(Format format, const PackedShape& shape, const std::byte* row,
                  std::size_t group);  // of a kRows row
GroupCodes group_codes(Format format, const PackedShape& shape, const std::byte* stored,
                       std::size_t row, std::size_t group);

}  // namespace skein
