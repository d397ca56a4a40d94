// Whether this process may use AMX int8. Any thread.
#pragma once

#include <cstdint>

namespace skein {

// What the CPU and the operating system say: cpuid leaf 7's EDX and the state components that the
// system saves (XCR0).
struct AmxSupport {
  std::uint32_t features = 0;
  std::uint64_t saved_state = 0;
};

// AMX-TILE and AMX-INT8, with the tiles' shapes and their contents saved.
constexpr bool has_amx_int8(const AmxSupport& support) {
  constexpr std::uint32_t kFeatures = 1U << 24 | 1U << 25;
  constexpr std::uint64_t kState = 1U << 17 | 1U << 18;
  return (support.features & kFeatures) == kFeatures && (support.saved_state & kState) == kState;
}

// The same, and Linux permitted the tiles' 8 KiB of state when it was asked: once, for all threads.
bool amx_permitted();

}  // namespace skein
