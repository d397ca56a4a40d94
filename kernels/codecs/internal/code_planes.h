// Quantized pages (kernels/ops/format.h) taken apart: the codes a byte each, and the 16 bits that
// each group has beside them (q8's scale, the head of the others), and put together again. Every
// bit of the stored bytes is in one of the two. Pure; any thread.
//
// Order of codes: kTiles as q8 tiles have them, group after group, [quad][row][column of the quad];
// kRows column after column. Order of heads: kTiles [tile][group][row], kRows [row][group].
#pragma once

#include <cstdint>
#include <span>

#include "kernels/codecs/quantized.h"

namespace skein {

constexpr unsigned bits_of_code(Format format) {
  return format == Format::kQ8 ? 8 : format == Format::kQ6 ? 6 : format == Format::kQ5 ? 5 : 4;
}

// codes: shape.codes(), heads: shape.heads(), stored: shape.bytes().
void split_codes(const QuantizedShape& shape, ByteView stored, std::span<std::uint8_t> codes,
                 std::span<std::uint16_t> heads);
// The inverse. Codes have no bits above the format's.
void join_codes(const QuantizedShape& shape, std::span<const std::uint8_t> codes,
                std::span<const std::uint16_t> heads, MutableByteView stored);

}  // namespace skein
