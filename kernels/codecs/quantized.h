// Lossless coding of quantized matrices (q8, q6, q5, q4 in either layout) as pages hold them: the
// codes with contexts that say how they are spread, and each group's scale and zero point beside
// them, which cost next to nothing where they are nearly all alike (ECSQ, METHODS 2.2). The form of
// the bytes: README.md of this room. As pure as coded_page.h.
#pragma once

#include <vector>

#include "kernels/codecs/coded_page.h"
#include "kernels/ops/format.h"

namespace skein {

inline constexpr std::size_t kMaxQuantizedBytes = 256 * 1024;  // of one matrix, before coding

struct QuantizedShape {
  Format format = Format::kQ8;
  Layout layout = Layout::kRows;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;

  std::size_t groups() const { return (std::size_t{cols} + kGroup - 1) / kGroup; }  // of a row
  std::size_t stored_rows() const {
    const std::size_t whole = layout == Layout::kTiles ? kTileRows : 1;
    return (rows + whole - 1) / whole * whole;
  }
  std::size_t heads() const { return stored_rows() * groups(); }
  std::size_t codes() const { return heads() * kGroup; }
  std::uint64_t bytes() const { return stored_bytes(format, layout, rows, cols); }
};

// Room to work in, which grows to the largest matrix it met.
struct QuantizedMemory {
  CodecMemory codec;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> contexts;  // of the codes
  std::vector<std::uint8_t> classes;   // that the contexts come from
  std::vector<std::uint8_t> plane;     // of the heads
  std::vector<std::uint16_t> heads;
};

// Appends the coded matrix to `out`. stored.size() is shape.bytes(), 1 to kMaxQuantizedBytes. It
// may come out larger than it was, by at most an eighth and a few hundred bytes: then store it.
void encode_quantized(const QuantizedShape& shape, ByteView stored, QuantizedMemory& memory,
                      Buffer& out);

// Fills `stored`, of shape.bytes(). Errc::kCorrupt as decode_page says.
Result<void> decode_quantized(const QuantizedShape& shape, ByteView coded, QuantizedMemory& memory,
                              MutableByteView stored);

}  // namespace skein
