// The inner loop of the entropy decoder: interleaved rANS streams that share one sequence of words
// (Duda 2013; Giesen 2014). Stream j makes codes j, j + kStreams, ... of a page. The form of the
// bytes: README.md of this room. Instruction sets implement decode_streams (kernels/isa); everybody
// else uses coded_page.h. Any thread; no allocation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skein {

inline constexpr std::uint32_t kStreams = 64;
inline constexpr std::uint32_t kLowestState = 1U << 16;  // where every stream begins and must end
inline constexpr std::uint32_t kRoundBytes = 2 * kStreams;  // the most words that a round reads

// An entry of the decode table, for every slot in [0, 2^table_bits) of a context.
//   bits 0-11: frequency - 1; 12-23: slot - first slot of the code; 24-31: the code
constexpr std::uint32_t decode_entry(std::uint32_t frequency, std::uint32_t offset,
                                     std::uint32_t code) {
  return (frequency - 1) | (offset << 12) | (code << 24);
}

// Whole rounds of kStreams codes. Decoding goes on while a round is left to make and kRoundBytes of
// words are left to read, so no byte outside [words, words_end) is touched whatever it holds.
struct CodeStreams {
  const std::uint32_t* table = nullptr;  // (contexts, 2^table_bits)
  std::uint32_t table_bits = 0;
  std::uint32_t* states = nullptr;   // kStreams, updated
  const std::byte* words = nullptr;  // little-endian u16, advanced
  const std::byte* words_end = nullptr;
  std::uint8_t* codes = nullptr;  // advanced by kStreams a round
  std::uint32_t rounds = 0;       // left to make, counted down
  // Null, or the context of every code: code i has contexts[i % period]. kStreams bytes can be read
  // from every position below the period, which is at least kStreams.
  const std::uint8_t* contexts = nullptr;
  std::uint32_t period = 0;
  std::uint32_t position = 0;  // of the next code; below the period, updated
};

namespace reference {
void decode_streams(CodeStreams& in);
}

}  // namespace skein
