#include "kernels/ops/format.h"

#include <bit>

#include "common/base/check.h"
#include "kernels/ops/internal/packed.h"

namespace skein {

std::string_view name_of(Format format) {
  switch (format) {
    case Format::kF32:
      return "f32";
    case Format::kBf16:
      return "bf16";
    case Format::kF16:
      return "f16";
    case Format::kQ8:
      return "q8";
    case Format::kQ6:
      return "q6";
    case Format::kQ5:
      return "q5";
    case Format::kQ4:
      return "q4";
  }
  return "unknown";
}

std::string_view name_of(Layout layout) {
  switch (layout) {
    case Layout::kRows:
      return "rows";
    case Layout::kTiles:
      return "tiles";
  }
  return "unknown";
}

std::uint64_t stored_bytes(Format format, Layout layout, std::uint64_t rows, std::uint64_t cols) {
  CHECK(rows < (1ULL << 32) && cols < (1ULL << 32));
  const std::uint64_t groups = (cols + kGroup - 1) / kGroup;
  std::uint64_t row_bytes = 0;
  switch (format) {
    case Format::kF32:
      row_bytes = cols * 4;
      break;
    case Format::kBf16:
    case Format::kF16:
      row_bytes = cols * 2;
      break;
    case Format::kQ8:
      row_bytes = groups * (kGroup + 2);
      break;
    case Format::kQ6:
    case Format::kQ5:
    case Format::kQ4:
      row_bytes = groups * packed_group_bytes(packed_bits(format));
      break;
  }
  CHECK(row_bytes != 0 || cols == 0);
  if (layout == Layout::kTiles) rows = (rows + kTileRows - 1) / kTileRows * kTileRows;
  CHECK(row_bytes == 0 || rows <= ~0ULL / row_bytes);
  return rows * row_bytes;
}

float widen_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float widen_f16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 31U;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  }
  // Zero and subnormals: fraction * 2^-24, exact in float.
  const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

std::uint16_t narrow_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {  // NaN: cut the payload, but never down to infinity
    const std::uint32_t cut = bits >> 16;
    return static_cast<std::uint16_t>((cut & 0x7FU) != 0 ? cut : cut | 0x40U);
  }
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

std::uint16_t narrow_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t out = 0;
  if (magnitude > 0x7F800000U) {
    const std::uint32_t payload = (magnitude >> 13) & 0x3FFU;
    out = 0x7C00U | (payload != 0 ? payload : 0x200U);
  } else if (magnitude >= 0x477FF000U) {  // 65520: halfway to what would be 2^16
    out = 0x7C00U;
  } else if (magnitude >= 0x38800000U) {  // normal: 2^-14 and up
    const std::uint32_t rebiased = magnitude - (112U << 23);
    out = (rebiased + 0xFFFU + ((rebiased >> 13) & 1U)) >> 13;
  } else {
    // Subnormal: adding 0.5 leaves the answer, rounded to nearest even, in the low bits (unit
    // 2^-24).
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    out = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F);
  }
  return static_cast<std::uint16_t>(sign | out);
}

}  // namespace skein
