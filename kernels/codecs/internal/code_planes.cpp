#include "kernels/codecs/internal/code_planes.h"

#include <cstring>

namespace skein {
namespace {

constexpr std::size_t kQuads = kGroup / 4;
constexpr std::size_t kPlane = kTileRows * 4;         // bytes of a plane of a tile's group
constexpr std::size_t kGroupCodes = kQuads * kPlane;  // codes of a tile's group
constexpr std::size_t kNibbles = kGroup / 2;          // bytes of a row's group
constexpr std::size_t kTileHeads = kTileRows * sizeof(std::uint16_t);
constexpr std::uint64_t kLowBits = 0x0101010101010101;

// ---- kTiles: a plane is a vector of bytes, and so is a quad ----

void split_tile_group(Format format, const std::uint8_t* __restrict planes,
                      std::uint8_t* __restrict codes) {
  for (std::size_t p = 0; p < kQuads / 2; ++p) {
    for (std::size_t i = 0; i < kPlane; ++i) {
      codes[2 * p * kPlane + i] = planes[p * kPlane + i] & 0xF;
      codes[(2 * p + 1) * kPlane + i] = planes[p * kPlane + i] >> 4;
    }
  }
  planes += kGroupCodes / 2;
  for (std::size_t q = 0; q < kQuads && format != Format::kQ4; ++q) {
    const bool one = format == Format::kQ5;
    const std::uint8_t* const plane = one ? planes : planes + q / 4 * kPlane;
    const auto shift = static_cast<unsigned>(one ? q : q % 4 * 2);
    const unsigned mask = one ? 1 : 3;
    for (std::size_t i = 0; i < kPlane; ++i) {
      codes[q * kPlane + i] |= static_cast<std::uint8_t>((plane[i] >> shift & mask) << 4);
    }
  }
}

void join_tile_group(Format format, const std::uint8_t* __restrict codes,
                     std::uint8_t* __restrict planes) {
  for (std::size_t p = 0; p < kQuads / 2; ++p) {
    for (std::size_t i = 0; i < kPlane; ++i) {
      planes[p * kPlane + i] = static_cast<std::uint8_t>((codes[2 * p * kPlane + i] & 0xF) |
                                                         codes[(2 * p + 1) * kPlane + i] << 4);
    }
  }
  planes += kGroupCodes / 2;
  if (format == Format::kQ5) {
    for (std::size_t i = 0; i < kPlane; ++i) {
      unsigned bits = 0;
      for (std::size_t q = 0; q < kQuads; ++q) bits |= (codes[q * kPlane + i] >> 4 & 1U) << q;
      planes[i] = static_cast<std::uint8_t>(bits);
    }
  } else if (format == Format::kQ6) {
    for (std::size_t half = 0; half < 2; ++half, codes += 4 * kPlane) {
      for (std::size_t i = 0; i < kPlane; ++i) {
        unsigned bits = 0;
        for (std::size_t q = 0; q < 4; ++q) bits |= (codes[q * kPlane + i] >> 4 & 3U) << (2 * q);
        planes[half * kPlane + i] = static_cast<std::uint8_t>(bits);
      }
    }
  }
}

// ---- kRows: nibbles of all groups, then a bit plane of all groups, then another ----

void split_row(Format format, std::size_t groups, const std::uint8_t* __restrict planes,
               std::uint8_t* __restrict codes) {
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t i = 0; i < kNibbles; ++i) {
      codes[g * kGroup + i] = planes[g * kNibbles + i] & 0xF;
      codes[g * kGroup + kNibbles + i] = planes[g * kNibbles + i] >> 4;
    }
  }
  planes += groups * kNibbles;
  for (unsigned bit = 4; bit < bits_of_code(format); ++bit, planes += groups * 4) {
    for (std::size_t i = 0; i < groups * 4; ++i) {
      // Bit j of the byte becomes byte j, 0 or 1.
      std::uint64_t eight = planes[i] * kLowBits & 0x8040201008040201;
      eight = (eight + 0x7F7F7F7F7F7F7F7F) >> 7 & kLowBits;
      std::uint64_t word;
      std::memcpy(&word, codes + i * 8, sizeof word);
      word |= eight << bit;
      std::memcpy(codes + i * 8, &word, sizeof word);
    }
  }
}

void join_row(Format format, std::size_t groups, const std::uint8_t* __restrict codes,
              std::uint8_t* __restrict planes) {
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t i = 0; i < kNibbles; ++i) {
      planes[g * kNibbles + i] = static_cast<std::uint8_t>((codes[g * kGroup + i] & 0xF) |
                                                           codes[g * kGroup + kNibbles + i] << 4);
    }
  }
  planes += groups * kNibbles;
  for (unsigned bit = 4; bit < bits_of_code(format); ++bit, planes += groups * 4) {
    for (std::size_t i = 0; i < groups * 4; ++i) {
      std::uint64_t word;
      std::memcpy(&word, codes + i * 8, sizeof word);
      planes[i] = static_cast<std::uint8_t>((word >> bit & kLowBits) * 0x0102040810204080 >> 56);
    }
  }
}

std::size_t row_code_bytes(const QuantizedShape& shape) {
  return shape.groups() * kGroup * bits_of_code(shape.format) / 8;
}
std::size_t tile_code_bytes(Format format) { return kGroupCodes * bits_of_code(format) / 8; }

}  // namespace

void split_codes(const QuantizedShape& shape, ByteView stored, std::span<std::uint8_t> codes,
                 std::span<std::uint16_t> heads) {
  CHECK(stored.size() == shape.bytes() && codes.size() == shape.codes() &&
        heads.size() == shape.heads());
  const auto* from = reinterpret_cast<const std::uint8_t*>(stored.data());
  const bool q8 = shape.format == Format::kQ8;
  if (shape.layout == Layout::kTiles) {
    const std::size_t bytes = tile_code_bytes(shape.format);
    for (std::size_t g = 0; g < heads.size() / kTileRows; ++g) {
      std::memcpy(heads.data() + g * kTileRows, from, kTileHeads);
      std::uint8_t* const to = codes.data() + g * kGroupCodes;
      if (q8) std::memcpy(to, from + kTileHeads, bytes);
      if (!q8) split_tile_group(shape.format, from + kTileHeads, to);
      from += kTileHeads + bytes;
    }
    return;
  }
  const std::size_t groups = shape.groups();
  const std::size_t bytes = row_code_bytes(shape);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    std::uint8_t* const to = codes.data() + row * groups * kGroup;
    if (q8) std::memcpy(to, from, bytes);
    if (!q8) split_row(shape.format, groups, from, to);
    std::memcpy(heads.data() + row * groups, from + bytes, groups * 2);
    from += bytes + groups * 2;
  }
}

void join_codes(const QuantizedShape& shape, std::span<const std::uint8_t> codes,
                std::span<const std::uint16_t> heads, MutableByteView stored) {
  CHECK(stored.size() == shape.bytes() && codes.size() == shape.codes() &&
        heads.size() == shape.heads());
  auto* to = reinterpret_cast<std::uint8_t*>(stored.data());
  const bool q8 = shape.format == Format::kQ8;
  if (shape.layout == Layout::kTiles) {
    const std::size_t bytes = tile_code_bytes(shape.format);
    for (std::size_t g = 0; g < heads.size() / kTileRows; ++g) {
      std::memcpy(to, heads.data() + g * kTileRows, kTileHeads);
      const std::uint8_t* const from = codes.data() + g * kGroupCodes;
      if (q8) std::memcpy(to + kTileHeads, from, bytes);
      if (!q8) join_tile_group(shape.format, from, to + kTileHeads);
      to += kTileHeads + bytes;
    }
    return;
  }
  const std::size_t groups = shape.groups();
  const std::size_t bytes = row_code_bytes(shape);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const std::uint8_t* const from = codes.data() + row * groups * kGroup;
    if (q8) std::memcpy(to, from, bytes);
    if (!q8) join_row(shape.format, groups, from, to);
    std::memcpy(to + bytes, heads.data() + row * groups, groups * 2);
    to += bytes + groups * 2;
  }
}

}  // namespace skein
