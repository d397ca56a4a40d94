// How a row of neuron-major weights holds its codes and scales (kernels/ops/format.h, kRows), as
// registers of four rows' codes. Included once per instruction set; see vector_kernels.h.
#pragma once

#include "kernels/isa/internal/neuron_lanes.h"

namespace skein {
namespace {

// kWhole: a whole register's groups are there; otherwise `count` of them, and the rest is zero.

// 16 elements of two bytes.
template <class Vector, bool kWhole>
SKEIN_INLINE Vector load_some16(const char* at, std::size_t count) {
  if constexpr (kWhole) return load<Vector>(at);
  char padded[2 * kLanes] = {};
  __builtin_memcpy(padded, at, count * 2);  // count < 16
  return load<Vector>(padded);
}
using BitOfByte = std::uint64_t __attribute__((vector_size(kCodeBytes)));

template <bool kWhole>
SKEIN_INLINE Codes load_codes(const char* at, std::size_t bytes) {
  if constexpr (kWhole) return load<Codes>(at);
  char padded[kCodeBytes] = {};
  __builtin_memcpy(padded, at, bytes < kCodeBytes ? bytes : kCodeBytes);
  return load<Codes>(padded);
}

// How a row of G groups holds its codes and scales. Register: the codes that one load brings.
template <unsigned bits>
struct RowFormat {
  static constexpr bool kSigned = false;
  static constexpr unsigned kShift = 7 - bits;        // log2 of the step
  static constexpr std::size_t kParts = 2;            // low and high nibbles
  static constexpr std::size_t kLanesEach = 1;        // lanes a group takes
  static constexpr std::size_t kGroups = kCodeLanes;  // in a register
  static std::size_t scales_at(std::size_t groups) { return groups * (16 + 4 * (bits - 4)); }

  template <bool kWhole>
  struct Scales {
    SKEIN_INLINE Scales(const char* at, std::size_t count) {
      const U32 heads = __builtin_convertvector(load_some16<U16, kWhole>(at, count), U32);
      values = as<F32>(((heads & 0xFF80U) << 12) + ((127U - 24U) << 23));
      zeros = as<I32>(heads & 127U);
    }
    F32 values;
    I32 zeros;
  };

  // Bits 4 and up of both halves of a register's groups.
  template <std::size_t half, bool kWhole>
  SKEIN_INLINE static Codes high_bits(const char* row, std::size_t groups, std::size_t group,
                                      std::size_t count) {
    const Codes selected = as<Codes>(BitOfByte{} + 0x8040201008040201U);
    Codes high = {};
#pragma clang loop unroll(full)
    for (unsigned bit = 4; bit < bits; ++bit) {
      const char* words = row + groups * (16 + std::size_t{4} * (bit - 4)) + group * 4;
      char padded[kCodeLanes * 4] = {};
      if constexpr (!kWhole) {
        __builtin_memcpy(padded, words, (count < kCodeLanes ? count : kCodeLanes) * 4);
        words = padded;
      }
      const Codes set = as<Codes>((spread_bits<half>(words) & selected) != 0);
      high |= set & static_cast<std::uint8_t>(1U << bit);
    }
    return high;
  }

  // Codes of four rows, a register's groups from `group` on: parts [first, first + parts), as
  // out[part - first][k]; part p of lane l holds output 16 part + 4 k + p of group l.
  template <std::size_t first, std::size_t parts, bool kWhole>
  SKEIN_INLINE static void quads(const char* const rows[4], std::size_t groups, std::size_t group,
                                 Codes out[parts][4]) {
    const std::size_t present = groups - group;
    Codes pairs[4];
#pragma clang loop unroll(full)
    for (std::size_t i = 0; i < 4; ++i)
      pairs[i] = load_codes<kWhole>(rows[i] + group * 16, present * 16);
    if constexpr (bits == 4) {
      Codes both[4];
      interleave(pairs, both);
#pragma clang loop unroll(full)
      for (std::size_t k = 0; k < 4; ++k) {
        if constexpr (first == 0) out[0][k] = both[k] & 15;
        if constexpr (first + parts == 2) out[parts - 1][k] = both[k] >> 4;
      }
      return;
    }
    Codes codes[4];
    if constexpr (first == 0) {
#pragma clang loop unroll(full)
      for (std::size_t i = 0; i < 4; ++i) {
        codes[i] = (pairs[i] & 15) | high_bits<0, kWhole>(rows[i], groups, group, present);
      }
      interleave(codes, out[0]);
    }
    if constexpr (first + parts == 2) {
#pragma clang loop unroll(full)
      for (std::size_t i = 0; i < 4; ++i) {
        codes[i] = (pairs[i] >> 4) | high_bits<1, kWhole>(rows[i], groups, group, present);
      }
      interleave(codes, out[parts - 1]);
    }
  }
};

template <>
struct RowFormat<8> {
  static constexpr bool kSigned = true;
  static constexpr unsigned kShift = 0;
  static constexpr std::size_t kParts = 1;
  static constexpr std::size_t kLanesEach = 2;
  static constexpr std::size_t kGroups = kCodeLanes / 2;
  static std::size_t scales_at(std::size_t groups) { return groups * 32; }

  template <bool kWhole>
  struct Scales {
    SKEIN_INLINE Scales(const char* at, std::size_t count) {
      values = __builtin_convertvector(load_some16<F16, kWhole>(at, count), F32);
      zeros = I32{} + kRaise;
    }
    F32 values;
    I32 zeros;
  };

  template <std::size_t, std::size_t parts, bool kWhole>
  SKEIN_INLINE static void quads(const char* const rows[4], std::size_t groups, std::size_t group,
                                 Codes out[parts][4]) {
    Codes codes[4];
#pragma clang loop unroll(full)
    for (std::size_t i = 0; i < 4; ++i) {
      codes[i] = load_codes<kWhole>(rows[i] + group * 32, (groups - group) * 32);
      if constexpr (kRaise != 0) codes[i] ^= static_cast<std::uint8_t>(kRaise);
    }
    interleave(codes, out[0]);
  }
};

}  // namespace
}  // namespace skein
