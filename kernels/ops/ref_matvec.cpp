// The one order of float operations in a matrix-vector product, spelled out.
//
// Plain formats: four partial sums a row, by column modulo 4, each in increasing column; then
// (s0 + s1) + (s2 + s3). Four, so that a fast version has four independent additions in flight.
// q8: the 32 products of a group are exact integers; the row's sum gains
// float(dot) * (weight scale * activation scale), group after group.
// Every product is rounded before it is added: there is no fused multiply-add anywhere.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/isa/kernel_table.h"
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
void add_rows(const RowBatch& batch, std::uint32_t cols, float* y) {
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    for (std::size_t col = 0; col < cols; ++col) {
      const float product = element_at(batch.rows[i], col) * batch.h[i];
      y[col] += product;
    }
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

void add_rows_f32(const RowBatch& batch, std::uint32_t cols, float* y) {
  add_rows<f32_at>(batch, cols, y);
}
void add_rows_bf16(const RowBatch& batch, std::uint32_t cols, float* y) {
  add_rows<bf16_at>(batch, cols, y);
}
void add_rows_f16(const RowBatch& batch, std::uint32_t cols, float* y) {
  add_rows<f16_at>(batch, cols, y);
}

void add_rows_q8(const RowBatch& batch, std::uint32_t cols, float* y) {
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    for (std::size_t col = 0; col < cols; ++col) {
      const float scale = batch.h[i] * f16_at(batch.rows[i] + batch.scales_at, col / kGroup);
      const auto code = static_cast<std::int8_t>(batch.rows[i][col]);
      const float product = static_cast<float>(code) * scale;
      y[col] += product;
    }
  }
}

void quantize(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales) {
  for (std::size_t group = 0; group < groups; ++group, x += kGroup, codes += kGroup) {
    float largest = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
    }
    const float inverse = 127.0F / largest;
    // A group too small for its inverse to be a float is a group of zeros.
    const bool zero = !(largest > 0) || std::isinf(inverse);
    scales[group] = zero ? 0.0F : largest / 127.0F;
    for (std::size_t i = 0; i < kGroup; ++i) {
      const float scaled = zero ? 0.0F : x[i] * inverse;
      // Adding 1.5 * 2^23 leaves the integer, rounded to nearest even, in the low bits. Unsigned:
      // a NaN's bits may wrap.
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(scaled + 12582912.0F) - 0x4B400000U;
      codes[i] = static_cast<std::int8_t>(std::clamp(static_cast<std::int32_t>(bits), -127, 127));
    }
  }
}

}  // namespace skein::reference
