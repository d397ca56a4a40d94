// The tile instructions of Intel AMX in software, as the Intel 64 and IA-32 Architectures Software
// Developer's Manual describes them (palette 1; LDTILECFG, TILEZERO, TILELOADD, TDPBSSD,
// TILESTORED, TILERELEASE). What would fault there stops here. Register numbers are arguments, or
// template arguments as kernels/isa/internal/tile_unit.h wants them. Without library code, so that
// it may be compiled for any instruction set. Tests only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/check.h"

namespace skein::test {
namespace {

class TileModel {
 public:
  static constexpr int kTiles = 8;
  static constexpr std::size_t kMaxRows = 16;
  static constexpr std::size_t kMaxRowBytes = 64;

  // 64 bytes: palette, start row, 14 reserved, 16 row lengths of two bytes, 16 numbers of rows.
  void configure(const void* at) {
    std::uint8_t bytes[64];
    __builtin_memcpy(bytes, at, sizeof bytes);
    release();
    if (bytes[0] == 0) return;
    CHECK(bytes[0] == 1 && bytes[1] == 0);
    for (std::size_t i = 2; i < 16; ++i) CHECK(bytes[i] == 0);
    for (std::size_t tile = 0; tile < 16; ++tile) {
      const std::size_t row_bytes = bytes[16 + 2 * tile] + 256U * bytes[17 + 2 * tile];
      const std::size_t rows = bytes[48 + tile];
      CHECK(tile < kTiles || (rows == 0 && row_bytes == 0));
      CHECK(rows <= kMaxRows && row_bytes <= kMaxRowBytes && (rows == 0) == (row_bytes == 0));
      if (tile < kTiles) shapes_[tile] = {rows, row_bytes};
    }
    configured_ = true;
  }

  void release() {
    configured_ = false;
    for (int tile = 0; tile < kTiles; ++tile) {
      shapes_[tile] = {};
      clear(tile);
    }
  }
  bool configured() const { return configured_; }

  void zero(int tile) {
    check(tile);
    clear(tile);
  }

  // Rows and bytes past the tile's shape become zero.
  void load(int tile, const void* at, std::size_t stride) {
    check(tile);
    clear(tile);
    for (std::size_t row = 0; row < shapes_[tile].rows; ++row) {
      __builtin_memcpy(data_[tile][row], static_cast<const char*>(at) + row * stride,
                       shapes_[tile].row_bytes);
    }
  }

  void store(int tile, void* at, std::size_t stride) const {
    check(tile);
    for (std::size_t row = 0; row < shapes_[tile].rows; ++row) {
      __builtin_memcpy(static_cast<char*>(at) + row * stride, data_[tile][row],
                       shapes_[tile].row_bytes);
    }
  }

  // TDPBSSD sums, left, right. sums[m][n] += the four products of left's dword [m][k] and right's
  // [k][n], for every k; int32, wrapping.
  void dot(int sums, int left, int right) {
    check(sums);
    check(left);
    check(right);
    CHECK(sums != left && sums != right && left != right);
    const std::size_t depth = shapes_[left].row_bytes / 4;
    CHECK(shapes_[sums].rows == shapes_[left].rows);
    CHECK(shapes_[sums].row_bytes == shapes_[right].row_bytes);
    CHECK(depth == shapes_[right].rows);
    CHECK(shapes_[sums].row_bytes % 4 == 0 && shapes_[left].row_bytes % 4 == 0);
    for (std::size_t m = 0; m < shapes_[sums].rows; ++m) {
      for (std::size_t n = 0; n < shapes_[sums].row_bytes / 4; ++n) {
        std::uint32_t sum = 0;
        __builtin_memcpy(&sum, data_[sums][m] + n * 4, sizeof sum);
        for (std::size_t k = 0; k < depth; ++k) {
          for (std::size_t byte = 0; byte < 4; ++byte) {
            const int product = data_[left][m][k * 4 + byte] * data_[right][k][n * 4 + byte];
            sum += static_cast<std::uint32_t>(product);
          }
        }
        __builtin_memcpy(data_[sums][m] + n * 4, &sum, sizeof sum);
      }
    }
  }

  template <int tile>
  void zero() {
    zero(tile);
  }
  template <int tile>
  void load(const void* at, std::size_t stride) {
    load(tile, at, stride);
  }
  template <int tile>
  void store(void* at, std::size_t stride) const {
    store(tile, at, stride);
  }
  template <int sums, int left, int right>
  void dot() {
    dot(sums, left, right);
  }

 private:
  struct Shape {
    std::size_t rows = 0;
    std::size_t row_bytes = 0;
  };

  void check(int tile) const {
    CHECK(configured_ && tile >= 0 && tile < kTiles && shapes_[tile].rows != 0);
  }
  void clear(int tile) { __builtin_memset(data_[tile], 0, sizeof data_[tile]); }

  bool configured_ = false;
  Shape shapes_[kTiles];
  std::int8_t data_[kTiles][kMaxRows][kMaxRowBytes] = {};
};

}  // namespace
}  // namespace skein::test
