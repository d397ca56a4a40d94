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
  PackedGroup(const PackedShape& shape, std::size_t row, std::size_t group) : bits_(shape.bits) {
    const std::size_t groups = (shape.cols + kGroup - 1) / kGroup;
    const bool tiles = shape.layout == Layout::kTiles;
    lane_ = row % kTileRows;
    tiled_ = tiles;
    const std::size_t before = tiles ? (row / kTileRows * groups + group) * kTileRows  //
                                     : row * groups + group;
    start_ = before * packed_group_bytes(bits_);
  }

  std::size_t head_at() const { return tiled_ ? start_ + lane_ * 2 : start_; }

  unsigned code(const std::byte* stored, std::size_t col) const {
    const Place low = low_at(col);
    unsigned code = std::to_integer<unsigned>(stored[low.byte]) >> low.shift & 15U;
    if (bits_ == 4) return code;
    const Place high = high_at(col);
    const unsigned mask = (1U << (bits_ - 4)) - 1;
    return code | (std::to_integer<unsigned>(stored[high.byte]) >> high.shift & mask) << 4;
  }

  // Onto bytes that were zero.
  void put(std::byte* stored, std::size_t col, unsigned code) const {
    const Place low = low_at(col);
    stored[low.byte] |= static_cast<std::byte>((code & 15U) << low.shift);
    if (bits_ == 4) return;
    const Place high = high_at(col);
    stored[high.byte] |= static_cast<std::byte>(code >> 4 << high.shift);
  }

 private:
  struct Place {
    std::size_t byte;
    unsigned shift;
  };
  Place low_at(std::size_t col) const {
    if (!tiled_) return {start_ + 2 + col % 16, col < 16 ? 0U : 4U};
    const std::size_t quad = col / 4;
    return {start_ + kTileRows * 2 + quad / 2 * 64 + lane_ * 4 + col % 4, quad % 2 != 0 ? 4U : 0U};
  }
  Place high_at(std::size_t col) const {
    const std::size_t width = bits_ - 4;
    if (!tiled_) {
      return {start_ + 18 + col * width / 8, static_cast<unsigned>(col * width % 8)};
    }
    const std::size_t quad = col / 4;
    return {start_ + kTileRows * 18 + quad * width / 8 * 64 + lane_ * 4 + col % 4,
            static_cast<unsigned>(quad * width % 8)};
  }

  unsigned bits_;
  bool tiled_ = false;
  std::size_t lane_ = 0;
  std::size_t start_ = 0;
};

void encode_packed(const PackedShape& shape, std::span<const float> values, MutableByteView out);
void decode_packed(const PackedShape& shape, ByteView stored, std::span<float> values);

}  // namespace skein
