// Blocks: the block formats that ggml packs weights in (GGUF and rwkv.cpp files), read only. A
// block holds 32 or 256 elements of one row; blocks of a row, and rows, follow each other. Pure;
// any thread.
//
//  Q8_0  f16 scale, 32 int8 codes                                        code * scale
//  Q4_0  f16 scale, 16 bytes: low nibbles 0-15, high nibbles 16-31       (u - 8) * scale
//  Q5_0  f16 scale, u32 of fifth bits, 16 bytes as Q4_0                  (u - 16) * scale
//  Q4_1, Q5_1  the same with an f16 minimum after the scale              u * scale + minimum
//  Q4_K, Q5_K  256 elements: f16 scale and minimum, eight 6-bit pairs (s, m) in 12 bytes, [fifth
//              bits,] nibbles: 64 elements share 32 bytes                u * (scale s) - minimum m
//  Q6_K  256 elements: low nibbles, upper two bits, sixteen int8 s, f16  (u - 32) * (scale s)
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/bytes.h"
#include "kernels/ops/format.h"

namespace skein {

enum class Packing : std::uint8_t { kNone, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4K, kQ5K, kQ6K };
std::string_view name_of(Packing packing);  // "none", "Q4_0", ..., "Q6_K"

struct BlockSize {
  std::uint32_t elements = 0;
  std::uint32_t bytes = 0;
};
BlockSize block_size(Packing packing);  // not of kNone

// Elements [first, first + out.size()) of whole blocks, as floats: each operation above rounded to
// nearest in the order written. Only the 32 elements around each one wanted are looked at.
void unpack(Packing packing, ByteView blocks, std::uint64_t first, std::span<float> out);

// Q8_0, Q4_0 and Q5_0 blocks are q8's groups (kernels/ops/format.h) in other clothes.
bool has_codes(Packing packing);
struct CodeGroup {
  std::uint16_t scale = 0;  // f16
  std::array<std::int8_t, kGroup> codes = {};
};
CodeGroup read_codes(Packing packing, ByteView blocks, std::uint64_t block);

}  // namespace skein
