// How a tile of q6, q5 or q4 holds its codes and scales (kernels/ops/format.h, kTiles). Included
// once per instruction set; see vector_kernels.h.
#pragma once

#include "kernels/isa/internal/lanes.h"

namespace skein {
namespace {

template <unsigned bits>
constexpr std::size_t kGroupBytes = kLanes * (18 + 4 * (bits - 4));

SKEIN_INLINE F32 packed_scales(U32 heads) {
  return as<F32>(((heads & 0xFF80U) << 12) + ((127U - 24U) << 23));
}
SKEIN_INLINE U32 packed_zeros(U32 heads) { return heads & 127U; }

// Unsigned codes of the 16 rows for quad q, a constant once the loop is unrolled.
template <unsigned bits>
SKEIN_INLINE Bytes packed_quad(const char* planes, std::size_t q) {
  const Bytes pair = load<Bytes>(planes + q / 2 * 64);
  const Bytes low = q % 2 == 0 ? pair & 15 : pair >> 4;
  if constexpr (bits == 4) return low;
  constexpr std::size_t kWidth = bits - 4;
  constexpr auto kMask = static_cast<std::uint8_t>(((1U << kWidth) - 1) << 4);
  const Bytes plane = load<Bytes>(planes + 256 + q * kWidth / 8 * 64);
  const auto from = static_cast<unsigned>(q * kWidth % 8);
  const Bytes high = from <= 4 ? plane << (4 - from) : plane >> (from - 4);
  return low | (high & kMask);
}

}  // namespace
}  // namespace skein
