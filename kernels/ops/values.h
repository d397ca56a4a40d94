// exp, sigmoid and tanh of one float, and the one order of sums, as inline functions that loops
// make vectors of. Nothing here has external linkage and nothing calls an inline function of a
// standard header: files of several instruction sets include it, and the linker could keep the copy
// made for another. Private to kernels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skein {
namespace {

inline std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline float float_of(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

// 2^n for n in [-126, 127].
inline float power_of_two(std::int32_t n) {
  return float_of(static_cast<std::uint32_t>(n + 127) << 23);
}

// exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; the polynomial is Cephes' expf
// (Moshier). Branch-free, so that the loops below become vector code. A NaN comes out as a NaN.
inline float exp_value(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float low = x < -104.0F ? -104.0F : x;
  const float clamped = low > 89.0F ? 89.0F : low;
  const float rounded = clamped * 1.44269504088896341F + kRound;
  const float n = rounded - kRound;
  const float r = (clamped - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = (p * (r * r) + r) + 1.0F;
  // Two factors: n reaches past what one float's exponent can hold, at both ends.
  const auto whole = static_cast<std::int32_t>(bits_of(rounded) - 0x4B400000U);
  const std::int32_t half = whole >> 1;
  const std::int32_t bounded = half < -100 ? -100 : half > 100 ? 100 : half;
  const std::int32_t other = whole - half;
  const std::int32_t rest = other < -100 ? -100 : other > 100 ? 100 : other;
  const float scaled = p * power_of_two(bounded) * power_of_two(rest);
  const float floored = x < -104.0F ? 0.0F : scaled;
  return x > 88.73F ? __builtin_inff() : floored;
}

inline float sigmoid_value(float x) { return 1.0F / (1.0F + exp_value(-x)); }

inline float tanh_value(float x) {
  const float magnitude = x < 0 ? -x : x;
  const float z = x * x;
  float p = -5.70498872745e-3F;
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const float near_zero = p * z * x + x;
  const float far = 1.0F - 2.0F / (exp_value(magnitude + magnitude) + 1.0F);
  const float signed_far = x < 0 ? -far : far;
  return magnitude < 0.625F ? near_zero : signed_far;
}

// The sum over term(i), i in [0, count), in the order of kernels/ops/norm.h.
template <class Term>
inline float sum_of(std::size_t count, Term term) {
  constexpr std::size_t kSums = 16;
  float sums[kSums] = {};
  const std::size_t whole = count / kSums * kSums;
  for (std::size_t i = 0; i < whole; i += kSums) {
    for (std::size_t lane = 0; lane < kSums; ++lane) sums[lane] += term(i + lane);
  }
  for (std::size_t i = whole; i < count; ++i) sums[i - whole] += term(i);
  for (std::size_t half = kSums / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

}  // namespace
}  // namespace skein
