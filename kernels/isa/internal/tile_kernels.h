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

// Calls some.template operator()<n>(first) for runs of n = most inputs, then half as many, and so
// on down to single ones.
template <std::size_t most, class Some>
SKEIN_INLINE void for_inputs(std::size_t first, std::size_t count, Some some) {
  for (; first + most <= count; first += most) some.template operator()<most>(first);
  if constexpr (most > 1) for_inputs<most / 2>(first, count, some);
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
    for_inputs<4>(0, x.rows, [&]<std::size_t kInputs>(std::size_t first) {
      plain_tile<Kind, kInputs>(tile, x, first, y, product.y_stride);
    });
  }
}

// How many inputs' sums and a group's weights fit the registers.
#if defined(__AVX512F__)
constexpr std::size_t kInputsAtOnce = 8;
#define SKEIN_UNROLL_INPUTS _Pragma("clang loop unroll(full)")
#elif defined(__ARM_FEATURE_MATMUL_INT8)
constexpr std::size_t kInputsAtOnce = 4;
#define SKEIN_UNROLL_INPUTS _Pragma("clang loop unroll(full)")
#else
constexpr std::size_t kInputsAtOnce = 4;
#define SKEIN_UNROLL_INPUTS
#endif

// Into the second level: the tile at hand needs the first.
template <std::size_t kBytes>
SKEIN_INLINE void fetch(const char* at) {
#pragma clang loop unroll(full)
  for (std::size_t line = 0; line < kBytes; line += 64) __builtin_prefetch(at + line, 0, 2);
}

// One tile, inputs [first, first + kInputs), group by group. With the last inputs the tile that
// comes next in memory is fetched: by then this one has long been near, and memory would idle.
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
  const bool is_last = first + kInputs == x.rows;
  const std::size_t tile_bytes = groups * Group<bits>::kBytes;
  for (std::size_t group = 0; group < groups; ++group, at += Group<bits>::kBytes) {
    if (is_last) fetch<Group<bits>::kBytes>(at + tile_bytes);
    const Group<bits> w(at);
    const SumsOfInputs<bits, kInputs> products(w, codes, group * 32);
    SKEIN_UNROLL_INPUTS
    for (std::size_t i = 0; i < kInputs; ++i) {
      const I32 dot = w.dot(products[i], sums[i][group]);
      totals[i] += __builtin_convertvector(dot, F32) * (w.scales * scales[i][group]);
    }
  }
  for (std::size_t i = 0; i < kInputs; ++i) store(y + (first + i) * y_stride, totals[i]);
}

// The same for a single input.
template <unsigned bits>
SKEIN_INLINE void grouped_tile_once(const char* at, const Inputs& x, std::size_t input, float* y,
                                    std::size_t y_stride) {
  const std::size_t groups = (x.cols + std::size_t{31}) / 32;
  const std::int8_t* codes = x.codes + input * groups * 32;
  const float* const scales = x.scales + input * groups;
  const std::int32_t* const sums = x.sums + input * groups;
  F32 total = {};
  for (std::size_t group = 0; group < groups; ++group) {
    const OneDot one = Group<bits>::dot_once(at, codes, sums[group]);
    total += __builtin_convertvector(one.dot, F32) * (one.scales * scales[group]);
    at += Group<bits>::kBytes;
    codes += 32;
  }
  store(y + input * y_stride, total);
}

template <unsigned bits>
void grouped_tiles(const TileProduct& product) {
  const Inputs& x = *product.x;
  const std::size_t tile_bytes = (x.cols + std::size_t{31}) / 32 * Group<bits>::kBytes;
  for (std::size_t t = 0; t < product.tile_count; ++t) {
    const char* const tile = static_cast<const char*>(product.tiles) + t * tile_bytes;
    float* const y = product.y + t * kLanes;
    for_inputs<kInputsAtOnce>(0, x.rows, [&]<std::size_t kInputs>(std::size_t first) {
      if constexpr (kInputs == 1) {
        grouped_tile_once<bits>(tile, x, first, y, product.y_stride);
      } else {
        grouped_tile<bits, kInputs>(tile, x, first, y, product.y_stride);
      }
    });
  }
}

}  // namespace
}  // namespace skein
