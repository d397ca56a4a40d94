// Interleaved rANS streams (kernels/codecs/streams.h), sixteen to a vector. Included once per
// instruction set; see vector_kernels.h.
//
// Two steps are not lane by lane: looking up the decode table (a gather where there is one), and
// handing the next words to the streams that ran low: word k goes to the k-th such lane.
#pragma once

#include "kernels/codecs/streams.h"
#include "kernels/isa/internal/lanes.h"

namespace skein {
namespace {

using U8 = std::uint8_t __attribute__((vector_size(16)));

constexpr std::size_t kStreamVectors = kStreams / kLanes;
static_assert(kStreams % kLanes == 0);

#if defined(__AVX512F__)

SKEIN_INLINE U32 look_up(const std::uint32_t* table, U32 index) {
  return as<U32>(_mm512_i32gather_epi32(as<__m512i>(index), table, 4));
}

// Lanes below kLowestState become (lane << 16) | next word.
SKEIN_INLINE U32 refilled(U32 states, const std::byte*& words) {
  const __m512i x = as<__m512i>(states);
  const __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(kLowestState));
  const __m512i next = _mm512_cvtepu16_epi32(load<__m256i>(words));
  words += 2 * static_cast<std::size_t>(__builtin_popcount(low));
  const __m512i shifted = _mm512_mask_slli_epi32(x, low, x, 16);
  return as<U32>(_mm512_or_si512(shifted, _mm512_maskz_expand_epi32(low, next)));
}

#elif defined(__AVX2__)

// For each set of low lanes, which word every lane takes.
struct WordOrder {
  std::uint8_t of[256][8];
};
constexpr WordOrder kWordOrder = [] {
  WordOrder order = {};
  for (unsigned low = 0; low < 256; ++low) {
    std::uint8_t next = 0;
    for (unsigned lane = 0; lane < 8; ++lane) {
      order.of[low][lane] = next;
      if ((low >> lane & 1U) != 0) ++next;
    }
  }
  return order;
}();

SKEIN_INLINE U32 look_up(const std::uint32_t* table, U32 index) {
  const int* const entries = reinterpret_cast<const int*>(table);
  __m256i parts[2];
  __builtin_memcpy(parts, &index, sizeof parts);
  for (__m256i& part : parts) part = _mm256_i32gather_epi32(entries, part, 4);
  return load<U32>(parts);
}

SKEIN_INLINE __m256i refilled8(__m256i x, const std::byte*& words) {
  const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
  const auto lanes = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
  const __m256i order =
      _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load<std::int64_t>(kWordOrder.of[lanes])));
  const __m256i next = _mm256_cvtepu16_epi32(load<__m128i>(words));
  words += 2 * static_cast<std::size_t>(__builtin_popcount(lanes));
  const __m256i filled =
      _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(next, order));
  return _mm256_blendv_epi8(x, filled, low);
}

SKEIN_INLINE U32 refilled(U32 states, const std::byte*& words) {
  __m256i parts[2];
  __builtin_memcpy(parts, &states, sizeof parts);
  for (__m256i& part : parts) part = refilled8(part, words);
  return load<U32>(parts);
}

#else

SKEIN_INLINE U32 look_up(const std::uint32_t* table, U32 index) {
  U32 entries = {};
  for (std::size_t lane = 0; lane < kLanes; ++lane) entries[lane] = table[index[lane]];
  return entries;
}

SKEIN_INLINE U32 refilled(U32 states, const std::byte*& words) {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const std::uint32_t x = states[lane];
    const bool low = x < kLowestState;
    const std::uint32_t filled = (x << 16) | load<std::uint16_t>(words);
    states[lane] = low ? filled : x;
    words += low ? 2 : 0;
  }
  return states;
}

#endif

template <bool kWithContexts>
SKEIN_INLINE void decode_rounds(CodeStreams& in) {
  const std::uint32_t bits = in.table_bits;
  const U32 mask = U32{} + ((1U << bits) - 1);
  const std::byte* words = in.words;
  std::uint8_t* codes = in.codes;
  std::uint32_t rounds = in.rounds;
  std::uint32_t position = in.position;
  U32 x[kStreamVectors];
  for (std::size_t v = 0; v < kStreamVectors; ++v) x[v] = load<U32>(in.states + v * kLanes);
  for (; rounds > 0 && in.words_end - words >= kRoundBytes; --rounds) {
#pragma clang loop unroll(full)
    for (std::size_t v = 0; v < kStreamVectors; ++v) {
      U32 slot = x[v] & mask;
      if constexpr (kWithContexts) {
        const U8 contexts = load<U8>(in.contexts + position + v * kLanes);
        slot += __builtin_convertvector(contexts, U32) << bits;
      }
      const U32 entry = look_up(in.table, slot);
      store(codes + v * kLanes, __builtin_convertvector(entry >> 24, U8));
      x[v] = ((entry & 0xFFFU) + 1U) * (x[v] >> bits) + ((entry >> 12) & 0xFFFU);
      x[v] = refilled(x[v], words);
    }
    codes += kStreams;
    if constexpr (kWithContexts) {
      position += kStreams;
      if (position >= in.period) position -= in.period;
    }
  }
  for (std::size_t v = 0; v < kStreamVectors; ++v) store(in.states + v * kLanes, x[v]);
  in.words = words;
  in.codes = codes;
  in.rounds = rounds;
  in.position = position;
}

void decode_streams(CodeStreams& in) {
  if (in.contexts == nullptr) {
    decode_rounds<false>(in);
  } else {
    decode_rounds<true>(in);
  }
}

}  // namespace
}  // namespace skein
