// Zigzag: integers by magnitude, the sign in the lowest bit: 0, -1, 1, -2, 2, ... Pure.
#pragma once

#include <cstdint>

namespace skein {

constexpr std::uint32_t zigzag(std::int32_t value) {
  return (static_cast<std::uint32_t>(value) << 1) ^ static_cast<std::uint32_t>(value >> 31);
}
constexpr std::int32_t unzigzag(std::uint32_t value) {
  return static_cast<std::int32_t>(value >> 1) ^ -static_cast<std::int32_t>(value & 1);
}

}  // namespace skein
