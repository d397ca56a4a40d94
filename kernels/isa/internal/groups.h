// A tile's group of 32 columns, unpacked: what q8, q6, q5 and q4 (kernels/ops/format.h) look like
// to the products. Included once per instruction set; see vector_kernels.h.
#pragma once

#include "kernels/isa/internal/dots.h"
#include "kernels/isa/internal/quads.h"

namespace skein {
namespace {

// A group's dot product with a single input, and its scales.
struct OneDot {
  I32 dot;
  F32 scales;
};

// 16 rows' worth of a group, ready to be multiplied with any number of inputs. The zero point is
// taken off the exact sum: sum of (u * step - zero) * x = step * sum of (u * x) - zero * sum of x.
template <unsigned bits>
struct Group;

// The sums of code * x, of codes as they are in quads.
template <unsigned bits>
SKEIN_INLINE I32 sum_of(const Group<bits>& group, const std::int8_t* x) {
  GroupDot<bits> sums;
#pragma clang loop unroll(full)
  for (std::size_t q = 0; q < 8; ++q) sums.add(q, group.quads[q], x + q * 4);
  return sums.total();
}

template <unsigned bits>
struct Group {
  static constexpr std::size_t kBytes = kGroupBytes<bits>;

  SKEIN_INLINE explicit Group(const char* at) {
    const U32 heads = __builtin_convertvector(load<U16>(at), U32);
    scales = packed_scales(heads);
    zeros = as<I32>(packed_zeros(heads));
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; ++q) quads[q] = packed_quad<bits>(at + kLanes * 2, q);
  }

  // The dot product, of the sum of u * x.
  SKEIN_INLINE I32 dot(I32 sum, std::int32_t x_sum) const {
    return (sum << (7 - bits)) - times_small(zeros, I32{} + x_sum);
  }

  SKEIN_INLINE static OneDot dot_once(const char* at, const std::int8_t* x, std::int32_t x_sum) {
    const Group group(at);
    return {group.dot(sum_of(group, x), x_sum), group.scales};
  }

  F32 scales;
  Bytes quads[8];

 private:
  I32 zeros;
};

template <>
struct Group<8> {
  static constexpr std::size_t kBytes = kGroupBytes<8>;

  SKEIN_INLINE explicit Group(const char* at) {
    scales = __builtin_convertvector(load<F16>(at), F32);
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; ++q) {
      quads[q] = load<Bytes>(at + kLanes * 2 + q * 64);
      if constexpr (kRaise != 0) quads[q] ^= static_cast<std::uint8_t>(kRaise);
    }
  }

  SKEIN_INLINE I32 dot(I32 sum, std::int32_t x_sum) const { return sum - kRaise * x_sum; }

  // Not unrolled: eight loads by eight instructions look like eight streams to the prefetchers of
  // Zen 4, which then read at 85 % of the speed of one.
  SKEIN_INLINE static OneDot dot_once(const char* at, const std::int8_t* x, std::int32_t x_sum) {
    GroupDot<8> sums;
#pragma clang loop unroll(disable)
    for (std::size_t q = 0; q < 8; ++q) {
      Bytes codes = load<Bytes>(at + kLanes * 2 + q * 64);
      if constexpr (kRaise != 0) codes ^= static_cast<std::uint8_t>(kRaise);
      sums.add(q, codes, x + q * 4);
    }
    return {sums.total() - kRaise * x_sum, __builtin_convertvector(load<F16>(at), F32)};
  }

  F32 scales;
  Bytes quads[8];
};

// sum_of for kInputs inputs: x[i] + at is input i's group.
template <unsigned bits, std::size_t kInputs>
struct SumsOfInputs {
  SKEIN_INLINE SumsOfInputs(const Group<bits>& of, const std::int8_t* const x[], std::size_t from)
      : group(of), inputs(x), at(from) {}
  SKEIN_INLINE I32 operator[](std::size_t i) const { return sum_of(group, inputs[i] + at); }

  const Group<bits>& group;
  const std::int8_t* const* inputs;
  std::size_t at;
};

#if defined(__ARM_FEATURE_MATMUL_INT8)

// Two rows times two inputs in one instruction, eight columns of each.
template <unsigned bits, std::size_t kInputs>
  requires(kInputs % 2 == 0)
struct SumsOfInputs<bits, kInputs> {
  SKEIN_INLINE SumsOfInputs(const Group<bits>& group, const std::int8_t* const x[],
                            std::size_t from) {
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; q += 2) {
      int32x4_t even[4];  // four rows' quad q
      int32x4_t odd[4];
      __builtin_memcpy(even, &group.quads[q], sizeof even);
      __builtin_memcpy(odd, &group.quads[q + 1], sizeof odd);
#pragma clang loop unroll(full)
      for (std::size_t i = 0; i < kInputs; i += 2) {
        const std::size_t at = from + q * 4;
        const int8x16_t both = vcombine_s8(vld1_s8(x[i] + at), vld1_s8(x[i + 1] + at));
#pragma clang loop unroll(full)
        for (std::size_t four = 0; four < 4; ++four) {
          const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(even[four], odd[four]));
          const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(even[four], odd[four]));
          int32x4_t* const two = squares[i / 2][four];
          two[0] = vmmlaq_s32(two[0], low, both);
          two[1] = vmmlaq_s32(two[1], high, both);
        }
      }
    }
  }
  SKEIN_INLINE I32 operator[](std::size_t i) const {
    int32x4_t rows[4];
#pragma clang loop unroll(full)
    for (std::size_t four = 0; four < 4; ++four) {
      const int32x4_t* const two = squares[i / 2][four];
      rows[four] = i % 2 == 0 ? vuzp1q_s32(two[0], two[1]) : vuzp2q_s32(two[0], two[1]);
    }
    return load<I32>(rows);
  }

  // Of inputs i and i + 1 with rows j and j + 1: j i, j i+1, j+1 i, j+1 i+1.
  int32x4_t squares[kInputs / 2][4][2] = {};
};

#endif

}  // namespace
}  // namespace skein
