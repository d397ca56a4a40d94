// Sixteen lanes as clang vector types. Included once per instruction set; see vector_kernels.h.
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

using F32 = float __attribute__((vector_size(64)));
using I32 = std::int32_t __attribute__((vector_size(64)));
using U32 = std::uint32_t __attribute__((vector_size(64)));
using U16 = std::uint16_t __attribute__((vector_size(32)));
using F16 = _Float16 __attribute__((vector_size(32)));
using I8 = std::int8_t __attribute__((vector_size(16)));
using Bytes = std::uint8_t __attribute__((vector_size(64)));  // 16 lanes of four codes
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

SKEIN_INLINE F32 magnitude(F32 value) { return as<F32>(as<U32>(value) & 0x7FFFFFFFU); }
// b where it is larger, else a: a NaN in b is passed over.
SKEIN_INLINE F32 larger(F32 a, F32 b) { return b > a ? b : a; }
SKEIN_INLINE I32 between(I32 value, std::int32_t low, std::int32_t high) {
  const I32 floor = I32{} + low;
  const I32 ceiling = I32{} + high;
  const I32 raised = value < floor ? floor : value;
  return raised > ceiling ? ceiling : raised;
}
// Integers of values within 2^22, rounded to nearest even.
SKEIN_INLINE I32 rounded(F32 value) { return as<I32>(value + 12582912.0F) - 0x4B400000; }

// ((8 + 8), 4 + 4, 2 + 2, 1 + 1), as kernels/ops/norm.h says.
SKEIN_INLINE float tree_sum(F32 v) {
  const F32x8 eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const F32x4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                     __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
// The largest of values that are neither NaN nor -0.
SKEIN_INLINE float tree_max(F32 v) {
  const F32x8 low8 = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
  const F32x8 high8 = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const F32x8 eight = high8 > low8 ? high8 : low8;
  const F32x4 low4 = __builtin_shufflevector(eight, eight, 0, 1, 2, 3);
  const F32x4 high4 = __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  const F32x4 four = high4 > low4 ? high4 : low4;
  const float even = four[0] > four[2] ? four[0] : four[2];
  const float odd = four[1] > four[3] ? four[1] : four[3];
  return even > odd ? even : odd;
}

SKEIN_INLINE F32 joined(F32x4 a, F32x4 b, F32x4 c, F32x4 d) {
  const F32x8 low = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
  const F32x8 high = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

SKEIN_INLINE std::int32_t load_quad(const std::int8_t* codes) {
  std::int32_t quad;
  __builtin_memcpy(&quad, codes, sizeof quad);
  return quad;
}

}  // namespace
}  // namespace skein
