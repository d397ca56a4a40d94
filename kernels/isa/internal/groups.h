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
struct Group {
  static constexpr std::size_t kBytes = kGroupBytes<bits>;

  SKEIN_INLINE explicit Group(const char* at) {
    const U32 heads = __builtin_convertvector(load<U16>(at), U32);
    scales = packed_scales(heads);
    zeros = as<I32>(packed_zeros(heads));
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; ++q) quads[q] = packed_quad<bits>(at + kLanes * 2, q);
  }

  SKEIN_INLINE I32 dot(const std::int8_t* x, std::int32_t x_sum) const {
    GroupDot<bits> sums;
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; ++q) sums.add(q, quads[q], x + q * 4);
    return (sums.total() << (7 - bits)) - times_small(zeros, I32{} + x_sum);
  }

  SKEIN_INLINE static OneDot dot_once(const char* at, const std::int8_t* x, std::int32_t x_sum) {
    const Group group(at);
    return {group.dot(x, x_sum), group.scales};
  }

  F32 scales;

 private:
  I32 zeros;
  Bytes quads[8];
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

  SKEIN_INLINE I32 dot(const std::int8_t* x, std::int32_t x_sum) const {
    GroupDot<8> sums;
#pragma clang loop unroll(full)
    for (std::size_t q = 0; q < 8; ++q) sums.add(q, quads[q], x + q * 4);
    return sums.total() - kRaise * x_sum;
  }

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

 private:
  Bytes quads[8];
};

}  // namespace
}  // namespace skein
