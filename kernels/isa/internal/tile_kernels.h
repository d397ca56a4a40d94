// Tiles times input vectors. A tile's weights are loaded once for as many inputs as the registers
// take; each input's sums are made as if it were alone. Included once per instruction set; see
// vector_kernels.h.
#pragma once

#include "kernels/isa/internal/groups.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/matmul.h"

namespace skein {
namespace {

struct Float32 {
  static constexpr std::size_t kBytes = 4;
  SKEIN_INLINE static F32 lanes(const char* at) { return load<F32>(at); }
};
struct Bfloat16 {
  static constexpr std::size_t kBytes = 2;
  SKEIN_INLINE static F32 lanes(const char* at) {
    return as<F32>(__builtin_convertvector(load<U16>(at), U32) << 16);
  }
};
struct Float16 {
  static constexpr std::size_t kBytes = 2;
  SKEIN_INLINE static F32 lanes(const char* at) {
    return __builtin_convertvector(load<F16>(at), F32);
  }
};

// Walks the inputs in runs of `most`, then 1 by 1.
template <std::size_t most, class Some, class One>
SKEIN_INLINE void for_inputs(std::size_t count, Some some, One one) {
  std::size_t i = 0;
  if constexpr (most > 1) {
    for (; i + most <= count; i += most) some(i);
  }
  for (; i < count; ++i) one(i);
}

// One tile, inputs [first, first + kInputs): four sums each, by column modulo 4.
template <class Kind, std::size_t kInputs>
SKEIN_INLINE void plain_tile(const char* tile, const Inputs& x, std::size_t first, float* y,
                             std::size_t y_stride) {
  constexpr std::size_t kColumn = kLanes * Kind::kBytes;
  const std::size_t cols = x.cols;
  const float* const values = x.values + first * cols;
  F32 sums[kInputs][4] = {};
  std::size_t col = 0;
  for (; col + 4 <= cols; col += 4) {
    for (std::size_t part = 0; part < 4; ++part) {
      const F32 w = Kind::lanes(tile + (col + part) * kColumn);
      for (std::size_t i = 0; i < kInputs; ++i) sums[i][part] += w * values[i * cols + col + part];
    }
  }
  for (std::size_t part = 0; col + part < cols; ++part) {
    const F32 w = Kind::lanes(tile + (col + part) * kColumn);
    for (std::size_t i = 0; i < kInputs; ++i) sums[i][part] += w * values[i * cols + col + part];
  }
  for (std::size_t i = 0; i < kInputs; ++i) {
    store(y + (first + i) * y_stride, (sums[i][0] + sums[i][1]) + (sums[i][2] + sums[i][3]));
  }
}

template <class Kind>
void plain_tiles(const TileProduct& product) {
  const Inputs& x = *product.x;
  const std::size_t tile_bytes = std::size_t{x.cols} * kLanes * Kind::kBytes;
  for (std::size_t t = 0; t < product.tile_count; ++t) {
    const char* const tile = static_cast<const char*>(product.tiles) + t * tile_bytes;
    float* const y = product.y + t * kLanes;
    for_inputs<4>(
        x.rows, [&](std::size_t i) { plain_tile<Kind, 4>(tile, x, i, y, product.y_stride); },
        [&](std::size_t i) { plain_tile<Kind, 1>(tile, x, i, y, product.y_stride); });
  }
}

// One tile, inputs [first, first + kInputs), group by group.
template <unsigned bits, std::size_t kInputs>
SKEIN_INLINE void grouped_tile(const char* at, const Inputs& x, std::size_t first, float* y,
                               std::size_t y_stride) {
  const std::size_t groups = (x.cols + std::size_t{31}) / 32;
  const std::int8_t* codes[kInputs];
  const float* scales[kInputs];
  const std::int32_t* sums[kInputs];
  F32 totals[kInputs] = {};
  for (std::size_t i = 0; i < kInputs; ++i) {
    codes[i] = x.codes + (first + i) * groups * 32;
    scales[i] = x.scales + (first + i) * groups;
    sums[i] = x.sums + (first + i) * groups;
  }
  for (std::size_t group = 0; group < groups; ++group, at += Group<bits>::kBytes) {
    const Group<bits> w(at);
    for (std::size_t i = 0; i < kInputs; ++i) {
      const I32 dot = w.dot(codes[i] + group * 32, sums[i][group]);
      totals[i] += __builtin_convertvector(dot, F32) * (w.scales * scales[i][group]);
    }
  }
  for (std::size_t i = 0; i < kInputs; ++i) store(y + (first + i) * y_stride, totals[i]);
}

#if defined(__AVX512F__)
constexpr std::size_t kInputsAtOnce = 8;
#else
constexpr std::size_t kInputsAtOnce = 4;
#endif

template <unsigned bits>
void grouped_tiles(const TileProduct& product) {
  const Inputs& x = *product.x;
  const std::size_t tile_bytes = (x.cols + std::size_t{31}) / 32 * Group<bits>::kBytes;
  for (std::size_t t = 0; t < product.tile_count; ++t) {
    const char* const tile = static_cast<const char*>(product.tiles) + t * tile_bytes;
    float* const y = product.y + t * kLanes;
    for_inputs<kInputsAtOnce>(
        x.rows,
        [&](std::size_t i) { grouped_tile<bits, kInputsAtOnce>(tile, x, i, y, product.y_stride); },
        [&](std::size_t i) { grouped_tile<bits, 1>(tile, x, i, y, product.y_stride); });
  }
}

}  // namespace
}  // namespace skein
