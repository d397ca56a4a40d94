// The one order of float operations in a matrix-vector product, spelled out.
//
// Plain formats: four partial sums a row, by column modulo 4, each in increasing column; then
// (s0 + s1) + (s2 + s3). Four, so that a fast version has four independent additions in flight.
// q8: the 32 products of a group are exact integers; the row's sum gains
// float(dot) * (weight scale * activation scale), group after group.
// Every product is rounded before it is added: there is no fused multiply-add anywhere.
#include <cstring>

#include "kernels/ops/format.h"
#include "kernels/ops/reference.h"

namespace skein::reference {
namespace {

std::uint16_t load16(const void* base, std::size_t index) {
  std::uint16_t bits;
  std::memcpy(&bits, static_cast<const std::byte*>(base) + index * 2, 2);
  return bits;
}

float f32_at(const void* base, std::size_t index) {
  float value;
  std::memcpy(&value, static_cast<const std::byte*>(base) + index * 4, 4);
  return value;
}
float bf16_at(const void* base, std::size_t index) { return widen_bf16(load16(base, index)); }
float f16_at(const void* base, std::size_t index) { return widen_f16(load16(base, index)); }

template <float (*element_at)(const void*, std::size_t)>
void tiles(const void* data, std::uint32_t tile_count, std::uint32_t cols, const float* x,
           float* y) {
  for (std::size_t row = 0; row < std::size_t{tile_count} * kTileRows; ++row) {
    const std::size_t tile_start = row / kTileRows * cols * kTileRows;
    float sums[4] = {};
    for (std::size_t col = 0; col < cols; ++col) {
      const float product =
          element_at(data, tile_start + col * kTileRows + row % kTileRows) * x[col];
      sums[col % 4] += product;
    }
    y[row] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

template <float (*element_at)(const void*, std::size_t)>
void add_row(const void* row, std::uint32_t cols, float h, float* y) {
  for (std::size_t col = 0; col < cols; ++col) {
    const float product = element_at(row, col) * h;
    y[col] += product;
  }
}

}  // namespace

void tiles_f32(const void* data, std::uint32_t tile_count, std::uint32_t cols, const float* x,
               float* y) {
  tiles<f32_at>(data, tile_count, cols, x, y);
}
void tiles_bf16(const void* data, std::uint32_t tile_count, std::uint32_t cols, const float* x,
                float* y) {
  tiles<bf16_at>(data, tile_count, cols, x, y);
}
void tiles_f16(const void* data, std::uint32_t tile_count, std::uint32_t cols, const float* x,
               float* y) {
  tiles<f16_at>(data, tile_count, cols, x, y);
}

void tiles_q8(const void* data, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y) {
  constexpr std::size_t kGroupBytes = kTileRows * (kGroup + 2);
  for (std::size_t row = 0; row < std::size_t{tile_count} * kTileRows; ++row) {
    const std::size_t lane = row % kTileRows;
    float sum = 0;
    for (std::size_t group = 0; group < groups; ++group) {
      const std::byte* start =
          static_cast<const std::byte*>(data) + (row / kTileRows * groups + group) * kGroupBytes;
      const std::byte* weights = start + kTileRows * 2 + lane * 4;
      std::int32_t dot = 0;
      for (std::size_t i = 0; i < kGroup; ++i) {
        const auto code = static_cast<std::int8_t>(weights[i / 4 * 64 + i % 4]);
        dot += code * codes[group * kGroup + i];
      }
      const float scale = f16_at(start, lane) * scales[group];
      const float product = static_cast<float>(dot) * scale;
      sum += product;
    }
    y[row] = sum;
  }
}

void add_row_f32(const void* row, std::uint32_t cols, float h, float* y) {
  add_row<f32_at>(row, cols, h, y);
}
void add_row_bf16(const void* row, std::uint32_t cols, float h, float* y) {
  add_row<bf16_at>(row, cols, h, y);
}
void add_row_f16(const void* row, std::uint32_t cols, float h, float* y) {
  add_row<f16_at>(row, cols, h, y);
}

void add_row_q8(const void* codes, const void* scales, std::uint32_t cols, float h, float* y) {
  for (std::size_t col = 0; col < cols; ++col) {
    const float scale = h * f16_at(scales, col / kGroup);
    const auto code = static_cast<const std::int8_t*>(codes)[col];
    const float product = static_cast<float>(code) * scale;
    y[col] += product;
  }
}

}  // namespace skein::reference
