// Frequencies: how often each code comes in one context, scaled to a sum of 2^table_bits, and how
// that is written down. Values; any thread; no allocation.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/codecs/internal/bits.h"

namespace skein {

inline constexpr std::uint32_t kAlphabet = 256;
inline constexpr std::uint32_t kMinTableBits = 8;
inline constexpr std::uint32_t kMaxTableBits = 12;

struct Frequencies {
  std::array<std::uint16_t, kAlphabet> of = {};
};

using Counts = std::array<std::uint32_t, kAlphabet>;

// Every code that occurs gets at least 1. Some code occurs; their sum fits 32 bits. The same on
// every machine.
Frequencies scaled(const Counts& counts, std::uint32_t table_bits);

// Bits that codes of these counts cost, and those that writing the frequencies costs.
double cost_in_bits(const Counts& counts, const Frequencies& frequencies, std::uint32_t table_bits);

void write_frequencies(const Frequencies& frequencies, BitWriter& out);
// False unless they sum to 2^table_bits.
bool read_frequencies(BitReader& in, std::uint32_t table_bits, Frequencies& frequencies);

}  // namespace skein
