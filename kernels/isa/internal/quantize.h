// Inputs to int8 groups (quantize_input). Included once per instruction set; see vector_kernels.h.
//
// What is found once a group (the largest magnitude, the sum of codes) is found for 16 groups
// together: 16 vectors of 16 lanes become one vector with a result in each lane, by folding pairs
// of vectors into each other's halves, quarters and so on.
#pragma once

#include "kernels/isa/internal/lanes.h"

namespace skein {
namespace {

struct Largest {
  SKEIN_INLINE static F32 of(F32 a, F32 b) { return b > a ? b : a; }
};
struct Sum {
  SKEIN_INLINE static I32 of(I32 a, I32 b) { return a + b; }
};

// Each half, quarter, eighth, sixteenth of the result belongs to a in its lower part, to b in its
// upper part.
template <class Op, class Vector>
SKEIN_INLINE Vector fold8(Vector a, Vector b) {
  return Op::of(
      __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
      __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
}
template <class Op, class Vector>
SKEIN_INLINE Vector fold4(Vector a, Vector b) {
  return Op::of(
      __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
      __builtin_shufflevector(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31));
}
template <class Op, class Vector>
SKEIN_INLINE Vector fold2(Vector a, Vector b) {
  return Op::of(
      __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
      __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
}
template <class Op, class Vector>
SKEIN_INLINE Vector fold1(Vector a, Vector b) {
  return Op::of(
      __builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
      __builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31));
}

// Lane i: all of v[i]'s lanes together.
template <class Op, class Vector>
SKEIN_INLINE Vector fold_all(const Vector v[16]) {
  Vector half[8];
  for (std::size_t i = 0; i < 8; ++i) half[i] = fold8<Op>(v[i], v[i + 8]);
  Vector quarter[4];
  for (std::size_t i = 0; i < 4; ++i) quarter[i] = fold4<Op>(half[i], half[i + 4]);
  const Vector left = fold2<Op>(quarter[0], quarter[2]);
  const Vector right = fold2<Op>(quarter[1], quarter[3]);
  return fold1<Op>(left, right);
}

// scale 0: a group of zeros, whatever is in it.
SKEIN_INLINE I32 store_codes(const float* x, float inverse, float scale, std::int8_t* codes) {
  I32 sum = {};
  for (std::size_t half = 0; half < 2; ++half) {
    const F32 scaled = scale == 0 ? F32{} : load<F32>(x + half * kLanes) * inverse;
    const I32 code = between(rounded(scaled), -127, 127);
    store(codes + half * kLanes, __builtin_convertvector(code, I8));
    sum += code;
  }
  return sum;
}

// Of groups whose largest magnitudes are given; a group too small for its inverse to be a float is
// a group of zeros.
struct GroupScales {
  SKEIN_INLINE explicit GroupScales(F32 largest) {
    inverse = 127.0F / largest;
    const F32 usable = inverse < F32{} + __builtin_inff() ? largest / 127.0F : F32{};
    scales = largest > F32{} ? usable : F32{};
  }
  F32 inverse;
  F32 scales;
};

void quantize_sixteen(const float* x, std::int8_t* codes, float* scales, std::int32_t* sums) {
  F32 largest[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    const F32 low = magnitude(load<F32>(x + i * 32));
    largest[i] = larger(larger(F32{}, low), magnitude(load<F32>(x + i * 32 + kLanes)));
  }
  const GroupScales group(fold_all<Largest>(largest));
  store(scales, group.scales);
  I32 parts[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    parts[i] = store_codes(x + i * 32, group.inverse[i], scales[i], codes + i * 32);
  }
  store(sums, fold_all<Sum>(parts));
}

void quantize(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales,
              std::int32_t* sums) {
  std::size_t group = 0;
  for (; group + kLanes <= groups; group += kLanes) {
    quantize_sixteen(x + group * 32, codes + group * 32, scales + group, sums + group);
  }
  for (; group < groups; ++group) {
    const F32 low = magnitude(load<F32>(x + group * 32));
    const F32 high = magnitude(load<F32>(x + group * 32 + kLanes));
    const GroupScales one(F32{} + tree_max(larger(larger(F32{}, low), high)));
    scales[group] = one.scales[0];
    sums[group] = __builtin_reduce_add(
        store_codes(x + group * 32, one.inverse[0], scales[group], codes + group * 32));
  }
}

}  // namespace
}  // namespace skein
