// Weight formats and the two ways a matrix lies in memory, on disk and on the wire: one layout for
// all three, so a page that was fetched is a page that is multiplied. Values; any thread.
//
// A matrix W has `rows` outputs and `cols` inputs (y = W x).
//
//  kRows   row after row. Row of f32/bf16/f16: cols elements. Row of q8: ceil(cols/32)*32 int8
//  codes
//          (zero padded), then ceil(cols/32) f16 scales. Used for vectors (one row), the embedding
//          (vocab rows of width) and the channel-mix value matrix, stored transposed =
//          neuron-major: row i holds what neuron i adds to each output, so a zero neuron's row is
//          never touched.
//  kTiles  16 rows interleaved, so that SIMD lane j of an accumulator is row j and no kernel ever
//  adds
//          across lanes; rows past the end are zero. f32/bf16/f16 tile: for each column, 16
//          elements. q8 tile: for each group of 32 columns: 16 f16 scales, then 8 quads of (16 rows
//          x 4 codes): byte [q*64 + r*4 + b] is row r, column q*4+b of the group (the order VNNI
//          multiplies). Columns are zero padded to a whole group. Used for all other matrices.
//
// q8: symmetric, groups of 32 along the row as stored; scale = f16(max|w| / 127), code = round to
// nearest even(w / float(scale)), clamped to [-127, 127]; a group of zeros has scale 0.
//
// q6, q5, q4 (b = 6, 5, 4 bits): groups of 32 with a head of 16 bits: the upper 9 are the scale,
// 2^(e - 24) * (1 + m / 16) of e (5 bits) and m (4), the lower 7 a zero point z. A weight is
// (u * 128 / 2^b - z) * scale, u its b bits: an int8 code like q8's, so all arithmetic is q8's.
//  kRows row of G groups: planes, one after another. Low nibbles, 16 bytes a group (byte i: column
//          i, column 16 + i above); for q5 and q6 bit 4, a 32-bit word a group (column i in bit i);
//          for q6 bit 5 likewise; then the G heads. So that whole vectors of any plane are loaded.
//  kTiles group: 16 heads, then planes of 64 bytes whose byte r*4 + b is row r, column q*4 + b of
//          quad q: four planes of low nibbles (quad 2p, 2p + 1 above), then for q5 one plane with
//          bit 4 of quad q in bit q, for q6 two with bits 4-5 of quad q in bits 2(q % 4) of plane
//          q / 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/bytes.h"

namespace skein {

// Numbers stand in artifacts: never renumber. 5, 6 and 7 were q6, q5 and q4 with another order of
// bytes in kRows; they are not read any more.
enum class Format : std::uint8_t {
  kF32 = 1,
  kBf16 = 2,
  kF16 = 3,
  kQ8 = 4,
  kQ6 = 8,
  kQ5 = 9,
  kQ4 = 10
};
enum class Layout : std::uint8_t { kRows = 1, kTiles = 2 };

inline constexpr std::uint32_t kTileRows = 16;
inline constexpr std::uint32_t kGroup = 32;

std::string_view name_of(Format format);  // "f32", "bf16", "f16", "q8", "q6", "q5", "q4"
std::string_view name_of(Layout layout);  // "rows", "tiles"

// Stored as int8 codes in groups, and multiplied with an activation's int8 groups.
constexpr bool is_quantized(Format format) { return format >= Format::kQ8; }

// Bytes of `rows` rows (kTiles: rounded up to whole tiles). Overflow-free for rows, cols < 2^32.
std::uint64_t stored_bytes(Format format, Layout layout, std::uint64_t rows, std::uint64_t cols);

// Row-major floats (rows x cols) -> stored bytes. out.size() == stored_bytes(...). f32 -> bf16/f16
// rounds to nearest even. Bit-exact for values the format can hold (NaN payloads included for f32,
// bf16, f16 when produced by the matching widening).
void encode(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols,
            std::span<const float> values, MutableByteView out);
// The inverse, to floats. values.size() == rows * cols.
void decode(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols, ByteView stored,
            std::span<float> values);
// q8 from codes that exist (row-major, cols a multiple of kGroup) and a scale for each group.
void place_q8(Layout layout, std::uint32_t rows, std::uint32_t cols,
              std::span<const std::int8_t> codes, std::span<const std::uint16_t> scales,
              MutableByteView out);
// The same for q6, q5 and q4: codes are u, heads as above.
void place_packed(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols,
                  std::span<const std::uint8_t> codes, std::span<const std::uint16_t> heads,
                  MutableByteView out);
// The head whose scale is the largest not above `scale` (which is positive), with zero point
// `zero`, 0 to 127.
std::uint16_t packed_head(float scale, unsigned zero);
// What the codes of a group of kGroup weights mean: weight = (code - zero) * step, code from 0 to
// `most`, as decode() gives it. q8's codes count from 127 here, so that they are not negative.
struct GroupGrid {
  float step = 0;
  float zero = 0;
  float most = 0;
  std::uint16_t head = 0;  // as place_packed takes it; q8: the scale, as place_q8 does
  unsigned code_of(float weight) const;  // the nearest; weight is a number
  float weight_of(unsigned code) const { return (static_cast<float>(code) - zero) * step; }
};
// The grid, of those that encode() would try, with the least sum of squared errors, each times its
// importance (positive or zero; in encode() all alike). Both of kGroup.
GroupGrid fit_grid(Format format, std::span<const float> weights,
                   std::span<const float> importance);
// Rearranges raw elements (2 or 4 bytes each) between row-major and kTiles without touching a bit.
void tile_elements(std::uint32_t element_bytes, std::uint32_t rows, std::uint32_t cols,
                   ByteView row_major, MutableByteView tiles);
void untile_elements(std::uint32_t element_bytes, std::uint32_t rows, std::uint32_t cols,
                     ByteView tiles, MutableByteView row_major);

float widen_bf16(std::uint16_t bits);
float widen_f16(std::uint16_t bits);     // quiet NaN payloads kept
std::uint16_t narrow_bf16(float value);  // round to nearest even
std::uint16_t narrow_f16(float value);   // round to nearest even; overflow to infinity

}  // namespace skein
