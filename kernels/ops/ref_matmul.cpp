// The one order of float operations in a product, spelled out.
//
// Plain formats: four partial sums a row, by column modulo 4, each in increasing column; then
// (s0 + s1) + (s2 + s3). Four, so that a fast version has four independent additions in flight.
// q8 to q4: the 32 products of a group are exact integers; the row's sum gains
// float(dot) * (weight scale * input scale), group after group.
// Every product is rounded before it is added: there is no fused multiply-add anywhere. Every input
// vector is multiplied as if it were alone.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/isa/kernel_table.h"
#include "kernels/ops/internal/codes.h"
#include "kernels/ops/internal/elements.h"
#include "kernels/ops/matmul.h"
#include "kernels/ops/reference.h"

namespace skein {

float group_scale(Format format, const PackedShape& shape, const std::byte* row,
                  std::size_t group) {
  if (format != Format::kQ8) {
    const PackedGroup place(shape, 0, group);
    return packed_scale(scale_code_of(element_at<std::uint16_t>(row + place.head_at(), 0)));
  }
  const std::size_t groups = (shape.cols + kGroup - 1) / kGroup;
  return widen_f16(element_at<std::uint16_t>(row + groups * kGroup, group));
}

GroupCodes group_codes(Format format, const PackedShape& shape, const std::byte* stored,
                       std::size_t row, std::size_t group) {
  GroupCodes out;
  if (format != Format::kQ8) {
    const PackedGroup place(shape, row, group);
    const auto head = element_at<std::uint16_t>(stored + place.head_at(), 0);
    out.scale = packed_scale(scale_code_of(head));
    for (std::size_t i = 0; i < kGroup; ++i) {
      const int code = static_cast<int>(place.code(stored, i)) * packed_step(shape.bits);
      out.codes[i] = static_cast<std::int8_t>(code - zero_of(head));
    }
    return out;
  }
  const std::size_t groups = (shape.cols + kGroup - 1) / kGroup;
  if (shape.layout == Layout::kRows) {
    out.scale = group_scale(format, shape, stored, group);
    std::memcpy(out.codes, stored + group * kGroup, kGroup);
    return out;
  }
  constexpr std::size_t kGroupBytes = kTileRows * (kGroup + 2);
  const std::byte* start = stored + (row / kTileRows * groups + group) * kGroupBytes;
  const std::size_t lane = row % kTileRows;
  out.scale = widen_f16(element_at<std::uint16_t>(start, lane));
  for (std::size_t i = 0; i < kGroup; ++i) {
    out.codes[i] = static_cast<std::int8_t>(start[kTileRows * 2 + i / 4 * 64 + lane * 4 + i % 4]);
  }
  return out;
}

namespace reference {
namespace {

template <float (*value_at)(const std::byte*, std::size_t)>
void plain_tiles(const TileProduct& product) {
  const auto* const data = static_cast<const std::byte*>(product.tiles);
  const std::size_t cols = product.x->cols;
  for (std::size_t i = 0; i < product.x->rows; ++i) {
    const float* const x = product.x->values + i * cols;
    for (std::size_t row = 0; row < std::size_t{product.tile_count} * kTileRows; ++row) {
      const std::size_t tile_start = row / kTileRows * cols * kTileRows;
      float sums[4] = {};
      for (std::size_t col = 0; col < cols; ++col) {
        const std::size_t at = tile_start + col * kTileRows + row % kTileRows;
        const float term = value_at(data, at) * x[col];
        sums[col % 4] += term;
      }
      product.y[i * product.y_stride + row] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
  }
}

void grouped_tiles(const TileProduct& product, Format format) {
  const auto* const data = static_cast<const std::byte*>(product.tiles);
  const Inputs& x = *product.x;
  const std::size_t groups = groups_of(x.cols);
  const PackedShape shape{packed_bits(format), Layout::kTiles, product.tile_count * kTileRows,
                          x.cols};
  for (std::size_t row = 0; row < shape.rows; ++row) {
    for (std::size_t i = 0; i < x.rows; ++i) product.y[i * product.y_stride + row] = 0;
    for (std::size_t group = 0; group < groups; ++group) {
      const GroupCodes w = group_codes(format, shape, data, row, group);
      for (std::size_t i = 0; i < x.rows; ++i) {
        const std::int8_t* const codes = x.codes + (i * groups + group) * kGroup;
        std::int32_t dot = 0;
        for (std::size_t j = 0; j < kGroup; ++j) dot += w.codes[j] * codes[j];
        const float scale = w.scale * x.scales[i * groups + group];
        const float term = static_cast<float>(dot) * scale;
        product.y[i * product.y_stride + row] += term;
      }
    }
  }
}

}  // namespace

void tiles_f32(const TileProduct& product) { plain_tiles<f32_at>(product); }
void tiles_bf16(const TileProduct& product) { plain_tiles<bf16_at>(product); }
void tiles_f16(const TileProduct& product) { plain_tiles<f16_at>(product); }
void tiles_q8(const TileProduct& product) { grouped_tiles(product, Format::kQ8); }
void tiles_q6(const TileProduct& product) { grouped_tiles(product, Format::kQ6); }
void tiles_q5(const TileProduct& product) { grouped_tiles(product, Format::kQ5); }
void tiles_q4(const TileProduct& product) { grouped_tiles(product, Format::kQ4); }

void quantize(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales,
              std::int32_t* sums) {
  for (std::size_t group = 0; group < groups; ++group, x += kGroup, codes += kGroup) {
    float largest = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
    }
    const float inverse = 127.0F / largest;
    // A group too small for its inverse to be a float is a group of zeros.
    const bool zero = !(largest > 0) || std::isinf(inverse);
    scales[group] = zero ? 0.0F : largest / 127.0F;
    sums[group] = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      const float scaled = zero ? 0.0F : x[i] * inverse;
      // Adding 1.5 * 2^23 leaves the integer, rounded to nearest even, in the low bits. Unsigned:
      // a NaN's bits may wrap.
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(scaled + 12582912.0F) - 0x4B400000U;
      codes[i] = static_cast<std::int8_t>(std::clamp(static_cast<std::int32_t>(bits), -127, 127));
      sums[group] += codes[i];
    }
  }
}

}  // namespace reference
}  // namespace skein
