// What add_neurons needs of an instruction set: one register of codes (Codes), as lanes of 16 bytes
// that never mix, and products of four bytes summed in each 32-bit part (Sums). Included once per
// instruction set; see vector_kernels.h.
//
// Four neurons' bytes are interleaved, so that one 32-bit part holds the same output's codes of
// four neurons, and is multiplied with the neurons' four int8 multipliers.
#pragma once

#include "kernels/isa/internal/dots.h"

namespace skein {
namespace {

#if defined(__AVX512VNNI__)

constexpr std::size_t kCodeBytes = 64;
constexpr std::size_t kPartsAtOnce = 2;  // halves of a group whose sums fit the registers
using Codes = std::uint8_t __attribute__((vector_size(kCodeBytes)));
using Sums = std::int32_t __attribute__((vector_size(kCodeBytes)));

template <bool kSigned>
SKEIN_INLINE Sums dot_lanes(Sums sums, Codes codes, Sums x) {
  return as<Sums>(_mm512_dpbusd_epi32(as<__m512i>(sums), as<__m512i>(codes), as<__m512i>(x)));
}

// a0 b0 a1 b1 ... of each lane's lower and upper half.
SKEIN_INLINE void zip8(Codes a, Codes b, Codes& low, Codes& high) {
  low = as<Codes>(_mm512_unpacklo_epi8(as<__m512i>(a), as<__m512i>(b)));
  high = as<Codes>(_mm512_unpackhi_epi8(as<__m512i>(a), as<__m512i>(b)));
}
SKEIN_INLINE void zip16(Codes a, Codes b, Codes& low, Codes& high) {
  low = as<Codes>(_mm512_unpacklo_epi16(as<__m512i>(a), as<__m512i>(b)));
  high = as<Codes>(_mm512_unpackhi_epi16(as<__m512i>(a), as<__m512i>(b)));
}

// words[i / kLanesEach] in all parts of lane i.
template <std::size_t kLanesEach>
SKEIN_INLINE Sums spread_words(const std::int32_t* words) {
  if constexpr (kLanesEach == 1) {
    const auto w = load<std::int32_t __attribute__((vector_size(16)))>(words);
    return __builtin_shufflevector(w, w, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  }
  const auto w = load<std::int32_t __attribute__((vector_size(8)))>(words);
  return __builtin_shufflevector(w, w, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
}

// Lane i: eight times byte 4 i + 2 half, then eight times the next.
template <std::size_t half>
SKEIN_INLINE Codes spread_bits(const char* words) {
  constexpr std::uint64_t kEach = 0x0101010101010101U;
  constexpr std::uint64_t kFrom = kEach * (2 * half);
  const __m512i index =
      _mm512_set_epi64(kFrom + kEach * 13, kFrom + kEach * 12, kFrom + kEach * 9, kFrom + kEach * 8,
                       kFrom + kEach * 5, kFrom + kEach * 4, kFrom + kEach, kFrom);
  const __m512i all = _mm512_broadcast_i32x4(load<__m128i>(words));
  return as<Codes>(_mm512_shuffle_epi8(all, index));
}

#elif defined(__AVX2__)

constexpr std::size_t kCodeBytes = 32;
constexpr std::size_t kPartsAtOnce = 1;
using Codes = std::uint8_t __attribute__((vector_size(kCodeBytes)));
using Sums = std::int32_t __attribute__((vector_size(kCodeBytes)));

template <bool kSigned>
SKEIN_INLINE Sums dot_lanes(Sums sums, Codes codes, Sums x) {
  if constexpr (kSigned) {
    return as<Sums>(add_signed(as<__m256i>(sums), as<__m256i>(codes), as<__m256i>(x)));
  }
  const __m256i pairs = _mm256_maddubs_epi16(as<__m256i>(codes), as<__m256i>(x));
  const __m256i wide = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  return as<Sums>(_mm256_add_epi32(as<__m256i>(sums), wide));
}

SKEIN_INLINE void zip8(Codes a, Codes b, Codes& low, Codes& high) {
  low = as<Codes>(_mm256_unpacklo_epi8(as<__m256i>(a), as<__m256i>(b)));
  high = as<Codes>(_mm256_unpackhi_epi8(as<__m256i>(a), as<__m256i>(b)));
}
SKEIN_INLINE void zip16(Codes a, Codes b, Codes& low, Codes& high) {
  low = as<Codes>(_mm256_unpacklo_epi16(as<__m256i>(a), as<__m256i>(b)));
  high = as<Codes>(_mm256_unpackhi_epi16(as<__m256i>(a), as<__m256i>(b)));
}

template <std::size_t kLanesEach>
SKEIN_INLINE Sums spread_words(const std::int32_t* words) {
  if constexpr (kLanesEach == 1) {
    const auto w = load<std::int32_t __attribute__((vector_size(8)))>(words);
    return __builtin_shufflevector(w, w, 0, 0, 0, 0, 1, 1, 1, 1);
  }
  return Sums{} + words[0];
}

template <std::size_t half>
SKEIN_INLINE Codes spread_bits(const char* words) {
  constexpr std::int64_t kEach = 0x0101010101010101;
  constexpr std::int64_t kFrom = kEach * (2 * half);
  const __m256i index =
      _mm256_set_epi64x(kFrom + kEach * 5, kFrom + kEach * 4, kFrom + kEach, kFrom);
  const __m256i all = _mm256_set1_epi64x(load<std::int64_t>(words));
  return as<Codes>(_mm256_shuffle_epi8(all, index));
}

#elif defined(__ARM_NEON)

constexpr std::size_t kCodeBytes = 32;
constexpr std::size_t kPartsAtOnce = 1;
using Codes = std::uint8_t __attribute__((vector_size(kCodeBytes)));
using Sums = std::int32_t __attribute__((vector_size(kCodeBytes)));

template <class Vector>
struct Pair {
  SKEIN_INLINE explicit Pair(Codes codes) { __builtin_memcpy(parts, &codes, sizeof parts); }
  SKEIN_INLINE explicit Pair(Sums sums) { __builtin_memcpy(parts, &sums, sizeof parts); }
  Vector parts[2];
};

template <bool kSigned>
SKEIN_INLINE Sums dot_lanes(Sums sums, Codes codes, Sums x) {
  Pair<int32x4_t> total(sums);
  const Pair<int8x16_t> left(codes);
  const Pair<int8x16_t> right(x);
  for (std::size_t i = 0; i < 2; ++i) {
    total.parts[i] = dot_quad(left.parts[i], right.parts[i], total.parts[i]);
  }
  return load<Sums>(total.parts);
}

SKEIN_INLINE void zip8(Codes a, Codes b, Codes& low, Codes& high) {
  const Pair<uint8x16_t> left(a);
  const Pair<uint8x16_t> right(b);
  const uint8x16_t lows[2] = {vzip1q_u8(left.parts[0], right.parts[0]),
                              vzip1q_u8(left.parts[1], right.parts[1])};
  const uint8x16_t highs[2] = {vzip2q_u8(left.parts[0], right.parts[0]),
                               vzip2q_u8(left.parts[1], right.parts[1])};
  low = load<Codes>(lows);
  high = load<Codes>(highs);
}
SKEIN_INLINE void zip16(Codes a, Codes b, Codes& low, Codes& high) {
  const Pair<uint16x8_t> left(a);
  const Pair<uint16x8_t> right(b);
  const uint16x8_t lows[2] = {vzip1q_u16(left.parts[0], right.parts[0]),
                              vzip1q_u16(left.parts[1], right.parts[1])};
  const uint16x8_t highs[2] = {vzip2q_u16(left.parts[0], right.parts[0]),
                               vzip2q_u16(left.parts[1], right.parts[1])};
  low = load<Codes>(lows);
  high = load<Codes>(highs);
}

template <std::size_t kLanesEach>
SKEIN_INLINE Sums spread_words(const std::int32_t* words) {
  if constexpr (kLanesEach == 1) {
    const auto w = load<std::int32_t __attribute__((vector_size(8)))>(words);
    return __builtin_shufflevector(w, w, 0, 0, 0, 0, 1, 1, 1, 1);
  }
  return Sums{} + words[0];
}

template <std::size_t half>
SKEIN_INLINE Codes spread_bits(const char* words) {
  std::uint8_t bytes[8];
  __builtin_memcpy(bytes, words, sizeof bytes);
  constexpr std::size_t kFrom = 2 * half;
  const uint8x16_t parts[2] = {
      vcombine_u8(vdup_n_u8(bytes[kFrom]), vdup_n_u8(bytes[kFrom + 1])),
      vcombine_u8(vdup_n_u8(bytes[kFrom + 4]), vdup_n_u8(bytes[kFrom + 5]))};
  return load<Codes>(parts);
}

#endif

constexpr std::size_t kCodeLanes = kCodeBytes / 16;

// Four neurons' bytes, interleaved: part p of lane l of quads[k] holds byte 4 k + p of lane l.
SKEIN_INLINE void interleave(const Codes rows[4], Codes quads[4]) {
  Codes ab[2];
  Codes cd[2];
  zip8(rows[0], rows[1], ab[0], ab[1]);
  zip8(rows[2], rows[3], cd[0], cd[1]);
  zip16(ab[0], cd[0], quads[0], quads[1]);
  zip16(ab[1], cd[1], quads[2], quads[3]);
}

}  // namespace
}  // namespace skein
