// What a codec works in; see CodecMemory. Owned by it; one call at a time.
#pragma once

#include <array>

#include "kernels/codecs/coded_page.h"
#include "kernels/codecs/internal/frequencies.h"
#include "kernels/codecs/streams.h"

namespace skein {

inline constexpr std::uint32_t kMaxSlots = 1U << 14;  // decode table entries of all contexts
inline constexpr std::uint32_t kTableStep = 8;        // of them are written at a time

struct CodecMemory::Parts {
  alignas(64) std::array<std::uint32_t, kMaxSlots + kTableStep> table;
  alignas(64) std::array<std::uint32_t, kStreams> states;
  alignas(64) std::array<std::byte, 2 * kRoundBytes> last_words;
  alignas(64) std::array<std::uint8_t, kMaxPageCodes + kStreams> contexts;
  alignas(64) std::array<std::uint8_t, kMaxPageCodes> codes;          // tokens, byte planes
  alignas(64) std::array<std::uint8_t, kMaxPageCodes> base_contexts;  // of differences
  std::array<Counts, kMaxContexts> counts;
  std::array<Frequencies, kMaxContexts> frequencies;
  std::array<std::array<std::uint16_t, kAlphabet>, kMaxContexts> starts;
};

// The largest of them, or 0; a loop that becomes vector instructions.
inline std::uint8_t largest(std::span<const std::uint8_t> values) {
  std::uint8_t most = 0;
  for (const std::uint8_t value : values) most = value > most ? value : most;
  return most;
}

}  // namespace skein
