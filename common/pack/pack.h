// Pack: lossless compression of float32 arrays (weight updates, gradients): every bit comes back,
// NaN payloads and -0.0 too. Deterministic for one zstd version. Pure; any thread.
//
// Bytes, little-endian: "SKPF", u8 version = 1, u8[3] zero, u64 count, SHA-256 of the floats,
// 4 x u64 plane size, then 4 zstd frames of `count` bytes each. The floats are rotated left by one
// bit, so that a plane of its own holds the exponents (the only part with much to gain) and the
// sign lies with the low mantissa bits; plane k holds byte k of every float.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace skein {

inline constexpr std::size_t kPackHeaderBytes = 80;

Buffer pack_floats(std::span<const float> values);

// Errc::kCorrupt for bytes that pack_floats did not make; Errc::kOutOfRoom when they hold more than
// `max_floats` (checked before anything is allocated).
Result<std::vector<float>> unpack_floats(ByteView packed, std::size_t max_floats);

}  // namespace skein
