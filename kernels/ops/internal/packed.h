// The bits of q6, q5 and q4 as kernels/ops/format.h lays them out, one code at a time: for the
// encoder and the scalar reference. Private to kernels/ops; pure, any thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "kernels/ops/format.h"

namespace skein {

constexpr unsigned packed_bits(Format format) {
  return format == Format::kQ6 ? 6 : format == Format::kQ5 ? 5 : 4;
}
// A row's share of a group: head, low nibbles, high bits.
constexpr std::size_t packed_group_bytes(unsigned bits) { return 2 + 16 + 4 * (bits - 4); }
// Steps of the zero point, and of the int8 code, per step of u.
constexpr int packed_step(unsigned bits) { return 128 >> bits; }

constexpr std::uint32_t kPackedScales = 512;
constexpr float packed_scale(std::uint32_t scale_code) {
  return std::bit_cast<float>((scale_code << 19) + ((127U - 24U) << 23));
}
constexpr std::uint32_t scale_code_of(std::uint16_t head) { return head >> 7; }
constexpr int zero_of(std::uint16_t head) { return head & 127; }

struct PackedShape {
  unsigned bits = 4;
  Layout layout = Layout::kRows;
  std::size_t rows = 0;
  std::size_t cols = 0;
};

// Where row `row`'s group `group` lies, and how its codes are found there.
class PackedGroup {
 public:
  PackedGroup(const PackedShape& shape, std::size_t row, std::size_t group)
      : bits_(shape.bits),
        tiled_(shape.layout == Layout::kTiles),
        group_(group),
        groups_((shape.cols + kGroup - 1) / kGroup),
        lane_(row % kTileRows) {
    const std::size_t before = tiled_ ? (row / kTileRows * groups_ + group) * kTileRows  //
                                      : row * groups_;
    start_ = before * packed_group_bytes(bits_);
  }

  std::size_t head_at() const {
    if (tiled_) return start_ + lane_ * 2;
    return start_ + groups_ * (packed_group_bytes(bits_) - 2) + group_ * 2;
  }

  unsigned code(const std::byte* stored, std::size_t col) const {
    unsigned code = part(stored, low_at(col), 15U);
    if (bits_ == 4) return code;
    if (tiled_) return code | part(stored, tile_high_at(col), (1U << (bits_ - 4)) - 1) << 4;
    for (unsigned bit = 4; bit < bits_; ++bit) code |= part(stored, row_bit_at(col, bit), 1) << bit;
    return code;
  }

  // Onto bytes that were zero.
  void put(std::byte* stored, std::size_t col, unsigned code) const {
    put_part(stored, low_at(col), code & 15U);
    if (bits_ == 4) return;
    if (tiled_) return put_part(stored, tile_high_at(col), code >> 4);
    for (unsigned bit = 4; bit < bits_; ++bit) {
      put_part(stored, row_bit_at(col, bit), code >> bit & 1);
    }
  }

 private:
  struct Place {
    std::size_t byte;
    unsigned shift;
  };
  static unsigned part(const std::byte* stored, Place at, unsigned mask) {
    return std::to_integer<unsigned>(stored[at.byte]) >> at.shift & mask;
  }
  static void put_part(std::byte* stored, Place at, unsigned value) {
    stored[at.byte] |= static_cast<std::byte>(value << at.shift);
  }

  Place low_at(std::size_t col) const {
    if (!tiled_) return {start_ + group_ * 16 + col % 16, col < 16 ? 0U : 4U};
    const std::size_t quad = col / 4;
    return {start_ + kTileRows * 2 + quad / 2 * 64 + lane_ * 4 + col % 4, quad % 2 != 0 ? 4U : 0U};
  }
  Place row_bit_at(std::size_t col, unsigned bit) const {
    const std::size_t plane = start_ + groups_ * (16 + std::size_t{4} * (bit - 4));
    return {plane + group_ * 4 + col / 8, static_cast<unsigned>(col % 8)};
  }
  Place tile_high_at(std::size_t col) const {
    const std::size_t width = bits_ - 4;
    const std::size_t quad = col / 4;
    return {start_ + kTileRows * 18 + quad * width / 8 * 64 + lane_ * 4 + col % 4,
            static_cast<unsigned>(quad * width % 8)};
  }

  unsigned bits_;
  bool tiled_;
  std::size_t group_;
  std::size_t groups_;
  std::size_t lane_;
  std::size_t start_ = 0;
};

void encode_packed(const PackedShape& shape, std::span<const float> values, MutableByteView out);
void decode_packed(const PackedShape& shape, ByteView stored, std::span<float> values);

}  // namespace skein
