// Sixteen lanes as clang vector types, and the one operation that instruction sets do differently:
// the integer dot products of a q8 group. Included once per instruction set; see vector_kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define SKEIN_INLINE [[clang::always_inline]] inline

namespace skein {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kAhead = 2048;  // bytes fetched before they are used

using F32 = float __attribute__((vector_size(64)));
using I32 = std::int32_t __attribute__((vector_size(64)));
using U32 = std::uint32_t __attribute__((vector_size(64)));
using U16 = std::uint16_t __attribute__((vector_size(32)));
using F16 = _Float16 __attribute__((vector_size(32)));
using I8 = std::int8_t __attribute__((vector_size(16)));
using F32x8 = float __attribute__((vector_size(32)));
using F32x4 = float __attribute__((vector_size(16)));

template <class Vector>
SKEIN_INLINE Vector load(const void* at) {
  Vector value;
  __builtin_memcpy(&value, at, sizeof value);
  return value;
}
template <class Vector>
SKEIN_INLINE void store(void* at, Vector value) {
  __builtin_memcpy(at, &value, sizeof value);
}
template <class To, class From>
SKEIN_INLINE To as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  __builtin_memcpy(&result, &value, sizeof result);
  return result;
}

SKEIN_INLINE const char* text(const std::byte* bytes) {
  return static_cast<const char*>(static_cast<const void*>(bytes));
}

SKEIN_INLINE void prefetch(const char* at) { __builtin_prefetch(at); }

SKEIN_INLINE F32 magnitude(F32 value) { return as<F32>(as<U32>(value) & 0x7FFFFFFFU); }
// b where it is larger, else a: a NaN in b is passed over.
SKEIN_INLINE F32 larger(F32 a, F32 b) { return b > a ? b : a; }
SKEIN_INLINE I32 between(I32 value, std::int32_t low, std::int32_t high) {
  const I32 floor = I32{} + low;
  const I32 ceiling = I32{} + high;
  const I32 raised = value < floor ? floor : value;
  return raised > ceiling ? ceiling : raised;
}

// ((8 + 8), 4 + 4, 2 + 2, 1 + 1), as kernels/ops/norm.h says.
SKEIN_INLINE float tree_sum(F32 v) {
  const F32x8 eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const F32x4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                     __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
SKEIN_INLINE float tree_max(F32 v) {
  float best = v[0];
  for (std::size_t lane = 1; lane < kLanes; ++lane) best = v[lane] > best ? v[lane] : best;
  return best;
}

SKEIN_INLINE std::int32_t load_quad(const std::int8_t* codes) {
  std::int32_t quad;
  __builtin_memcpy(&quad, codes, sizeof quad);
  return quad;
}

// dot_group: for each of 16 rows, the sum of 32 products of int8 codes; `weights` are 8 quads of
// (16 rows x 4 codes), `offset` is group_offset of the activation's codes.
#if defined(__AVX512VNNI__)

// dpbusd multiplies unsigned by signed: weights are raised by 128, and 128 times the sum of the
// activation's codes is taken off again by starting there.
SKEIN_INLINE std::int32_t group_offset(const std::int8_t* codes) {
  const __m256i ones = _mm256_set1_epi8(1);
  const __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), ones, load<__m256i>(codes));
  std::int32_t lanes[8];
  store(lanes, sums);
  std::int32_t sum = 0;
  for (const std::int32_t lane : lanes) sum += lane;
  return -128 * sum;
}

SKEIN_INLINE I32 dot_group(const char* weights, const std::int8_t* codes, std::int32_t offset) {
  const __m512i raise = _mm512_set1_epi8(-128);
  __m512i sums = _mm512_set1_epi32(offset);
  for (std::size_t quad = 0; quad < 8; ++quad) {
    const __m512i raised = _mm512_xor_si512(load<__m512i>(weights + quad * 64), raise);
    sums = _mm512_dpbusd_epi32(sums, raised, _mm512_set1_epi32(load_quad(codes + quad * 4)));
  }
  return as<I32>(sums);
}

#elif defined(__AVX2__)

SKEIN_INLINE std::int32_t group_offset(const std::int8_t*) { return 0; }

// |w| (unsigned, at most 128) times x with w's sign (at most 127): two products fit 16 bits.
SKEIN_INLINE __m256i dot_quad(__m256i weights, __m256i codes, __m256i sums) {
  const __m256i pairs =
      _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(codes, weights));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

SKEIN_INLINE I32 dot_group(const char* weights, const std::int8_t* codes, std::int32_t) {
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (std::size_t quad = 0; quad < 8; ++quad) {
    const __m256i x = _mm256_set1_epi32(load_quad(codes + quad * 4));
    sums[0] = dot_quad(load<__m256i>(weights + quad * 64), x, sums[0]);
    sums[1] = dot_quad(load<__m256i>(weights + quad * 64 + 32), x, sums[1]);
  }
  return load<I32>(sums);
}

#elif defined(__ARM_NEON)

SKEIN_INLINE std::int32_t group_offset(const std::int8_t*) { return 0; }

// Four rows of four codes.
SKEIN_INLINE int32x4_t dot_quad(int8x16_t weights, int8x16_t codes, int32x4_t sums) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sums, weights, codes);
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(weights), vget_low_s8(codes)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(weights, codes));
  return vaddq_s32(sums, vpaddq_s32(low, high));
#endif
}

SKEIN_INLINE I32 dot_group(const char* weights, const std::int8_t* codes, std::int32_t) {
  int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
  for (std::size_t quad = 0; quad < 8; ++quad) {
    const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(load_quad(codes + quad * 4)));
    for (std::size_t part = 0; part < 4; ++part) {
      sums[part] = dot_quad(load<int8x16_t>(weights + quad * 64 + part * 16), x, sums[part]);
    }
  }
  return load<I32>(sums);
}

#endif

}  // namespace
}  // namespace skein
