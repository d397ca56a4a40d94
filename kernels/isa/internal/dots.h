// The integer dot products of int8 codes, the one thing that instruction sets do differently.
// Included once per instruction set; see vector_kernels.h.
//
// VNNI and AVX2 multiply unsigned by signed bytes. q6 to q4 hold unsigned u, which fits; q8's
// signed codes are raised by 128 for VNNI (and 128 * sum of x taken off again), while AVX2, whose
// sums of two products must fit 16 bits, multiplies |w| by x with w's sign. NEON multiplies signed
// bytes.
#pragma once

#include "kernels/isa/internal/lanes.h"

namespace skein {
namespace {

#if defined(__AVX512VNNI__)

constexpr std::int32_t kRaise = 128;

// For each of 16 rows, the sum over a group of code * x, quad by quad. bits: of unsigned codes; 8 =
// int8 codes, raised by kRaise.
template <unsigned bits>
struct GroupDot {
  SKEIN_INLINE void add(std::size_t, Bytes codes, const std::int8_t* x) {
    sums = _mm512_dpbusd_epi32(sums, as<__m512i>(codes), _mm512_set1_epi32(load_quad(x)));
  }
  SKEIN_INLINE I32 total() const { return as<I32>(sums); }

  __m512i sums = _mm512_setzero_si512();
};

// a * b, both within 16 bits, a not negative.
SKEIN_INLINE I32 times_small(I32 a, I32 b) {
  return as<I32>(_mm512_madd_epi16(as<__m512i>(a), as<__m512i>(b)));
}

#elif defined(__AVX2__)

constexpr std::int32_t kRaise = 0;

template <unsigned bits>
struct GroupDot {
  // Pairs of products are summed in 16 bits for as many quads as cannot overflow: 8, 4 or 2.
  static constexpr std::size_t kRun = 128U >> bits;

  SKEIN_INLINE void add(std::size_t q, Bytes codes, const std::int8_t* x) {
    __m256i halves[2];
    __builtin_memcpy(halves, &codes, sizeof halves);
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i more = _mm256_maddubs_epi16(halves[half], _mm256_set1_epi32(load_quad(x)));
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

// |w| (unsigned, at most 128) times x with w's sign (at most 127): two products fit 16 bits.
SKEIN_INLINE __m256i add_signed(__m256i sums, __m256i codes, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

template <>
struct GroupDot<8> {
  SKEIN_INLINE void add(std::size_t, Bytes codes, const std::int8_t* x) {
    __m256i halves[2];
    __builtin_memcpy(halves, &codes, sizeof halves);
    const __m256i quad = _mm256_set1_epi32(load_quad(x));
    for (std::size_t half = 0; half < 2; ++half) {
      sums[half] = add_signed(sums[half], halves[half], quad);
    }
  }
  SKEIN_INLINE I32 total() const { return load<I32>(sums); }

  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
};

// a * b, both within 16 bits, a not negative.
SKEIN_INLINE I32 times_small(I32 a, I32 b) {
  __m256i left[2];
  __m256i right[2];
  __builtin_memcpy(left, &a, sizeof left);
  __builtin_memcpy(right, &b, sizeof right);
  for (std::size_t i = 0; i < 2; ++i) left[i] = _mm256_madd_epi16(left[i], right[i]);
  return load<I32>(left);
}

#elif defined(__ARM_NEON)

constexpr std::int32_t kRaise = 0;

// Four lanes of four codes.
SKEIN_INLINE int32x4_t dot_quad(int8x16_t codes, int8x16_t x, int32x4_t sums) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sums, codes, x);
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(codes), vget_low_s8(x)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(codes, x));
  return vaddq_s32(sums, vpaddq_s32(low, high));
#endif
}

template <unsigned bits>
struct GroupDot {
  SKEIN_INLINE void add(std::size_t, Bytes codes, const std::int8_t* x) {
    int8x16_t quarters[4];
    __builtin_memcpy(quarters, &codes, sizeof quarters);
    const int8x16_t quad = vreinterpretq_s8_s32(vdupq_n_s32(load_quad(x)));
    for (std::size_t i = 0; i < 4; ++i) sums[i] = dot_quad(quarters[i], quad, sums[i]);
  }
  SKEIN_INLINE I32 total() const { return load<I32>(sums); }

  int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
};

SKEIN_INLINE I32 times_small(I32 a, I32 b) { return a * b; }

#endif

}  // namespace
}  // namespace skein
