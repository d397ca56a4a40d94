// Matrices quantized in groups of 32, for every instruction set, and how q6, q5 and q4
// (kernels/ops/format.h) are unpacked: their planes become the unsigned bytes that VNNI multiplies,
// and the zero point is taken off the exact sum:
// sum of (u * step - zero) * x = step * (sum of u * x) - zero * (sum of x).
// Included by vector_kernels.h only.
#pragma once

#include "kernels/isa/internal/lanes.h"
#include "kernels/isa/kernel_table.h"

namespace skein {
namespace {

// What a group needs of the activation's codes is kept for this many groups at a time.
constexpr std::uint32_t kGroupsAtATime = 512;

// acc[row] += dot * (weight scale * activation scale), group by group.
template <class Groups>
SKEIN_INLINE F32 dot_groups(const char* at, std::uint32_t groups, const std::int8_t* codes,
                            const float* scales, const std::int32_t* sums, F32 acc) {
  for (std::uint32_t group = 0; group < groups; ++group, at += Groups::kBytes) {
    for (std::size_t line = 0; line < Groups::kBytes; line += 64) prefetch(at + kAhead + line);
    const I32 dot = Groups::dot(at, codes + group * 32, sums[group]);
    const F32 scale = Groups::scales(at) * scales[group];
    acc += __builtin_convertvector(dot, F32) * scale;
  }
  return acc;
}

template <class Groups>
void tiles_grouped(const void* data, std::uint32_t tile_count, std::uint32_t groups,
                   const std::int8_t* codes, const float* scales, float* y) {
  std::int32_t sums[kGroupsAtATime];
  for (std::uint32_t first = 0; first < groups; first += kGroupsAtATime) {
    const std::uint32_t count = groups - first < kGroupsAtATime ? groups - first : kGroupsAtATime;
    for (std::uint32_t i = 0; i < count; ++i) sums[i] = Groups::code_sum(codes + (first + i) * 32);
    for (std::uint32_t tile = 0; tile < tile_count; ++tile) {
      const char* at =
          static_cast<const char*>(data) + (std::size_t{tile} * groups + first) * Groups::kBytes;
      float* const out = y + tile * kLanes;
      const F32 before = first == 0 ? F32{} : load<F32>(out);
      store(out, dot_groups<Groups>(at, count, codes + std::size_t{first} * 32, scales + first,
                                    sums, before));
    }
  }
}

using U8x64 = std::uint8_t __attribute__((vector_size(64)));
using U8x16 = std::uint8_t __attribute__((vector_size(16)));

template <unsigned bits>
struct Packed {
  static constexpr std::size_t kRowBytes = 18 + 4 * (bits - 4);  // of a group
  static constexpr unsigned kShift = 7 - bits;                   // log2 of the step

  // Codes of the 16 rows for quad q (a constant once the loop is unrolled) of a tile's group.
  SKEIN_INLINE static U8x64 quad(const char* planes, std::size_t q) {
    const U8x64 pair = load<U8x64>(planes + q / 2 * 64);
    const U8x64 low = q % 2 == 0 ? pair & 15 : pair >> 4;
    if constexpr (bits == 4) return low;
    constexpr std::size_t kWidth = bits - 4;
    constexpr auto kMask = static_cast<std::uint8_t>(((1U << kWidth) - 1) << 4);
    const U8x64 plane = load<U8x64>(planes + 256 + q * kWidth / 8 * 64);
    const auto from = static_cast<unsigned>(q * kWidth % 8);
    const U8x64 high = from <= 4 ? plane << (4 - from) : plane >> (from - 4);
    return low | (high & kMask);
  }

  // High bits of columns 16 * half + lane of a row's group, at bit 4.
  SKEIN_INLINE static U32 high(const char* group, std::size_t half) {
    constexpr U32 kLane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if constexpr (bits == 4) return U32{};
    std::uint32_t word;
    if constexpr (bits == 5) {
      __builtin_memcpy(&word, group + 18, sizeof word);
      return (((U32{} + (word >> (half * 16))) >> kLane) & 1) << 4;
    }
    __builtin_memcpy(&word, group + 18 + half * 4, sizeof word);
    return (((U32{} + word) >> (kLane * 2)) & 3) << 4;
  }
};

SKEIN_INLINE F32 packed_scales(U32 heads) {
  return as<F32>(((heads & 0xFF80U) << 12) + ((127U - 24U) << 23));
}

// DotSums: for each of 16 rows, the sum over a group of u * x; x is never -128
// (quantize_activation).
#if defined(__AVX512VNNI__)

template <unsigned bits>
struct DotSums {
  SKEIN_INLINE void add(std::size_t, U8x64 weights, std::int32_t x) {
    sums = _mm512_dpbusd_epi32(sums, as<__m512i>(weights), _mm512_set1_epi32(x));
  }
  SKEIN_INLINE I32 total() const { return as<I32>(sums); }

  __m512i sums = _mm512_setzero_si512();
};

#elif defined(__AVX2__)

// Pairs of products are summed in 16 bits for as many quads as cannot overflow: 8, 4 or 2.
template <unsigned bits>
struct DotSums {
  SKEIN_INLINE void add(std::size_t q, U8x64 weights, std::int32_t x) {
    constexpr std::size_t kRun = 128U >> bits;
    __m256i halves[2];
    __builtin_memcpy(halves, &weights, sizeof halves);
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i more = _mm256_maddubs_epi16(halves[half], _mm256_set1_epi32(x));
      pairs[half] = q % kRun == 0 ? more : _mm256_add_epi16(pairs[half], more);
      if (q % kRun != kRun - 1) continue;
      const __m256i wide = _mm256_madd_epi16(pairs[half], _mm256_set1_epi16(1));
      sums[half] = _mm256_add_epi32(sums[half], wide);
    }
  }
  SKEIN_INLINE I32 total() const { return load<I32>(sums); }

  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  __m256i pairs[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
};

#elif defined(__ARM_NEON)

template <unsigned bits>
struct DotSums {
  SKEIN_INLINE void add(std::size_t, U8x64 weights, std::int32_t x) {
    int8x16_t quarters[4];
    __builtin_memcpy(quarters, &weights, sizeof quarters);
    const int8x16_t codes = vreinterpretq_s8_s32(vdupq_n_s32(x));
    for (std::size_t i = 0; i < 4; ++i) sums[i] = dot_quad(quarters[i], codes, sums[i]);
  }
  SKEIN_INLINE I32 total() const { return load<I32>(sums); }

  int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
};

#endif

// A group of 16 rows for tiles_grouped.
template <unsigned bits>
struct PackedGroups {
  static constexpr std::size_t kBytes = kLanes * Packed<bits>::kRowBytes;

  SKEIN_INLINE static std::int32_t code_sum(const std::int8_t* codes) {
    return __builtin_reduce_add(__builtin_convertvector(load<I8>(codes), I32) +
                                __builtin_convertvector(load<I8>(codes + kLanes), I32));
  }
  SKEIN_INLINE static U32 heads(const char* at) {
    return __builtin_convertvector(load<U16>(at), U32);
  }
  SKEIN_INLINE static F32 scales(const char* at) { return packed_scales(heads(at)); }
  SKEIN_INLINE static I32 dot(const char* at, const std::int8_t* codes, std::int32_t sum) {
    DotSums<bits> sums;
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; ++q) {
      sums.add(q, Packed<bits>::quad(at + kLanes * 2, q), load_quad(codes + q * 4));
    }
    return (sums.total() << Packed<bits>::kShift) - as<I32>(heads(at) & 127) * sum;
  }
};

// The terms of 32 columns, a group at `at` bytes into the rows, added to y[0, 32).
template <unsigned bits, std::uint32_t rows>
SKEIN_INLINE void add_packed_group(const RowBatch& batch, std::uint32_t first, std::size_t at,
                                   float* y) {
  F32 low = load<F32>(y);
  F32 high = load<F32>(y + kLanes);
  for (std::uint32_t i = first; i < first + rows; ++i) {
    const char* group = text(batch.rows[i]) + at;
    std::uint16_t head;
    __builtin_memcpy(&head, group, sizeof head);
    const float scale = batch.h[i] * packed_scales(U32{} + head)[0];
    const std::int32_t zero = head & 127;
    const auto nibbles = load<U8x16>(group + 2);
    const U32 left = __builtin_convertvector(nibbles & 15, U32) | Packed<bits>::high(group, 0);
    const U32 right = __builtin_convertvector(nibbles >> 4, U32) | Packed<bits>::high(group, 1);
    low += __builtin_convertvector(as<I32>(left << Packed<bits>::kShift) - zero, F32) * scale;
    high += __builtin_convertvector(as<I32>(right << Packed<bits>::kShift) - zero, F32) * scale;
  }
  store(y, low);
  store(y + kLanes, high);
}

template <unsigned bits, std::uint32_t rows>
void add_some_packed(const RowBatch& shared, std::uint32_t first, std::uint32_t cols, float* y) {
  const RowBatch batch = shared;  // a copy that no store to y can touch
  std::uint32_t col = 0;
  std::size_t at = 0;
  for (; col + 32 <= cols; col += 32, at += Packed<bits>::kRowBytes) {
    if (rows == RowBatch::kMost && col % 64 == 0) {  // two groups are less than a cache line
      for (const std::byte* row : batch.soon) {
        prefetch(text(row) + at);
      }
    }
    add_packed_group<bits, rows>(batch, first, at, y + col);
  }
  if (col == cols) return;
  float last[32] = {};  // codes are padded to whole groups, y is not
  __builtin_memcpy(last, y + col, (cols - col) * sizeof(float));
  add_packed_group<bits, rows>(batch, first, at, last);
  __builtin_memcpy(y + col, last, (cols - col) * sizeof(float));
}

template <unsigned bits>
void add_rows_packed(const RowBatch& batch, std::uint32_t cols, float* y) {
  if (batch.count == RowBatch::kMost) {
    return add_some_packed<bits, RowBatch::kMost>(batch, 0, cols, y);
  }
  for (std::uint32_t i = 0; i < batch.count; ++i) add_some_packed<bits, 1>(batch, i, cols, y);
}

}  // namespace
}  // namespace skein
