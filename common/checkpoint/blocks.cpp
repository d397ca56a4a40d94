#include "common/checkpoint/blocks.h"

#include <algorithm>
#include <cstring>

#include "common/base/check.h"

namespace skein {
namespace {

// All formats are read in pieces of 32 elements that share a scale (Q6_K: two scales).
constexpr std::uint32_t kPiece = 32;
constexpr std::uint32_t kSuperBlock = 256;
static_assert(kPiece == kGroup);

using Piece = std::span<float, kPiece>;

std::uint8_t byte_at(ByteView block, std::size_t at) {
  return std::to_integer<std::uint8_t>(block[at]);
}
float f16_at(ByteView block, std::size_t at) {
  return widen_f16(load_le<std::uint16_t>(block, at));
}

// Nibble i of 16 bytes that hold elements 0-15 below and 16-31 above.
std::uint32_t nibble(ByteView halves, std::size_t i) {
  const std::uint32_t both = byte_at(halves, i % 16);
  return i < 16 ? both & 15U : both >> 4;
}

struct OldFormat {
  bool minimum = false;    // Q4_1, Q5_1
  bool fifth_bit = false;  // Q5_0, Q5_1
};

OldFormat old_format(Packing packing) {
  return {.minimum = packing == Packing::kQ4_1 || packing == Packing::kQ5_1,
          .fifth_bit = packing == Packing::kQ5_0 || packing == Packing::kQ5_1};
}

// The 4 or 5 bits of element i of a block of the older formats.
std::uint32_t old_bits(OldFormat format, ByteView block, std::size_t i) {
  std::size_t at = format.minimum ? 4 : 2;
  std::uint32_t high = 0;
  if (format.fifth_bit) {
    high = load_le<std::uint32_t>(block, at) >> i & 1U;
    at += 4;
  }
  return nibble(block.subspan(at, 16), i) | high << 4;
}

// Q4_1 and Q5_1; the other old formats are codes.
void unpack_with_minimum(Packing packing, ByteView block, Piece out) {
  const OldFormat format = old_format(packing);
  const float scale = f16_at(block, 0);
  const float minimum = f16_at(block, 2);
  for (std::size_t i = 0; i < kPiece; ++i) {
    out[i] = static_cast<float>(old_bits(format, block, i)) * scale + minimum;
  }
}

void unpack_codes(Packing packing, ByteView block, Piece out) {
  const CodeGroup group = read_codes(packing, block, 0);
  const float scale = widen_f16(group.scale);
  for (std::size_t i = 0; i < kPiece; ++i) out[i] = static_cast<float>(group.codes[i]) * scale;
}

// Pair j of the eight (s, m) in 12 bytes: the first four lie in the lower six bits of bytes 0-3 and
// 4-7, whose upper two bits complete the nibbles of the last four in bytes 8-11.
struct SixBits {
  std::uint32_t scale = 0;
  std::uint32_t minimum = 0;
};
SixBits six_bits(ByteView packed, std::size_t j) {
  if (j < 4) return {byte_at(packed, j) & 63U, byte_at(packed, j + 4) & 63U};
  const std::uint32_t both = byte_at(packed, j + 4);
  return {(both & 15U) | (byte_at(packed, j - 4) & 0xC0U) >> 2,
          both >> 4 | (byte_at(packed, j) & 0xC0U) >> 2};
}

// Q4_K, and Q5_K with its 32 bytes of fifth bits (bit j belongs to piece j).
void unpack_k4_k5(Packing packing, ByteView block, std::size_t piece, Piece out) {
  const SixBits six = six_bits(block.subspan(4, 12), piece);
  const float scale = f16_at(block, 0) * static_cast<float>(six.scale);
  const float minimum = f16_at(block, 2) * static_cast<float>(six.minimum);
  const bool fifth_bit = packing == Packing::kQ5K;
  const std::size_t nibbles = (fifth_bit ? 48 : 16) + piece / 2 * kPiece;
  for (std::size_t i = 0; i < kPiece; ++i) {
    std::uint32_t bits = byte_at(block, nibbles + i) >> (piece % 2 * 4) & 15U;
    if (fifth_bit) bits |= (byte_at(block, 16 + i) >> piece & 1U) << 4;
    out[i] = scale * static_cast<float>(bits) - minimum;
  }
}

// Half a block (128 elements, four pieces) has 64 bytes of nibbles, 32 of upper bits, 8 scales.
void unpack_k6(ByteView block, std::size_t piece, Piece out) {
  const std::size_t half = piece / 4;
  const std::size_t quarter = piece % 4;
  const ByteView low = block.subspan(half * 64 + quarter % 2 * kPiece, kPiece);
  const ByteView high = block.subspan(128 + half * kPiece, kPiece);
  const ByteView scales = block.subspan(192 + half * 8 + quarter * 2, 2);
  const float all = f16_at(block, 208);
  for (std::size_t i = 0; i < kPiece; ++i) {
    const std::uint32_t bits = (byte_at(low, i) >> (quarter / 2 * 4) & 15U) |
                               (byte_at(high, i) >> (quarter * 2) & 3U) << 4;
    const auto scale = static_cast<std::int8_t>(byte_at(scales, i / 16));
    out[i] = all * static_cast<float>(scale) * (static_cast<float>(bits) - 32.0F);
  }
}

void unpack_piece(Packing packing, ByteView block, std::size_t piece, Piece out) {
  switch (packing) {
    case Packing::kQ8_0:
    case Packing::kQ4_0:
    case Packing::kQ5_0:
      return unpack_codes(packing, block, out);
    case Packing::kQ4_1:
    case Packing::kQ5_1:
      return unpack_with_minimum(packing, block, out);
    case Packing::kQ4K:
    case Packing::kQ5K:
      return unpack_k4_k5(packing, block, piece, out);
    case Packing::kQ6K:
      return unpack_k6(block, piece, out);
    case Packing::kNone:
      break;
  }
  CHECK(packing != Packing::kNone);
}

}  // namespace

std::string_view name_of(Packing packing) {
  switch (packing) {
    case Packing::kNone:
      break;
    case Packing::kQ4_0:
      return "Q4_0";
    case Packing::kQ4_1:
      return "Q4_1";
    case Packing::kQ5_0:
      return "Q5_0";
    case Packing::kQ5_1:
      return "Q5_1";
    case Packing::kQ8_0:
      return "Q8_0";
    case Packing::kQ4K:
      return "Q4_K";
    case Packing::kQ5K:
      return "Q5_K";
    case Packing::kQ6K:
      return "Q6_K";
  }
  return "none";
}

BlockSize block_size(Packing packing) {
  switch (packing) {
    case Packing::kNone:
      break;
    case Packing::kQ4_0:
      return {kPiece, 18};
    case Packing::kQ4_1:
      return {kPiece, 20};
    case Packing::kQ5_0:
      return {kPiece, 22};
    case Packing::kQ5_1:
      return {kPiece, 24};
    case Packing::kQ8_0:
      return {kPiece, 34};
    case Packing::kQ4K:
      return {kSuperBlock, 144};
    case Packing::kQ5K:
      return {kSuperBlock, 176};
    case Packing::kQ6K:
      return {kSuperBlock, 210};
  }
  CHECK(packing != Packing::kNone);
  return {};
}

void unpack(Packing packing, ByteView blocks, std::uint64_t first, std::span<float> out) {
  const BlockSize size = block_size(packing);
  const std::uint64_t held = blocks.size() / size.bytes * size.elements;
  CHECK(first <= held && out.size() <= held - first);
  std::array<float, kPiece> piece;
  while (!out.empty()) {
    const ByteView block = blocks.subspan(first / size.elements * size.bytes, size.bytes);
    const std::size_t skipped = first % kPiece;
    const std::size_t count = std::min<std::size_t>(kPiece - skipped, out.size());
    if (count == kPiece) {
      unpack_piece(packing, block, first % size.elements / kPiece, out.first<kPiece>());
    } else {
      unpack_piece(packing, block, first % size.elements / kPiece, piece);
      std::ranges::copy(std::span(piece).subspan(skipped, count), out.begin());
    }
    out = out.subspan(count);
    first += count;
  }
}

bool has_codes(Packing packing) {
  return packing == Packing::kQ8_0 || packing == Packing::kQ4_0 || packing == Packing::kQ5_0;
}

CodeGroup read_codes(Packing packing, ByteView blocks, std::uint64_t block) {
  CHECK(has_codes(packing));
  const std::uint32_t bytes = block_size(packing).bytes;
  const ByteView here = blocks.subspan(block * bytes, bytes);
  CodeGroup group{.scale = load_le<std::uint16_t>(here, 0)};
  if (packing == Packing::kQ8_0) {
    std::memcpy(group.codes.data(), here.data() + 2, kPiece);
    return group;
  }
  const OldFormat format = old_format(packing);
  for (std::size_t i = 0; i < kPiece; ++i) {
    const auto bits = static_cast<int>(old_bits(format, here, i));
    group.codes[i] = static_cast<std::int8_t>(bits - (format.fifth_bit ? 16 : 8));
  }
  return group;
}

}  // namespace skein
