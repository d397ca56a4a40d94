// The bits of an element, as unsigned words of its size: in planes, and as differences. Pure.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/codecs/elements.h"

namespace skein {

// Sign, exponent and mantissa of a float of type Word with so many mantissa bits.
template <class Word, unsigned kMantissa>
struct FloatBits {
  using Bits = Word;
  static constexpr unsigned kWidth = 8 * sizeof(Word);
  static constexpr Word kSign = static_cast<Word>(Word{1} << (kWidth - 1));

  // The exponent in the topmost bits, the sign in the lowest.
  static constexpr Word rotated(Word bits) { return std::rotl(bits, 1); }
  static constexpr Word unrotated(Word bits) { return std::rotr(bits, 1); }

  // Unsigned numbers in the order of the floats; NaNs and both zeros have places of their own.
  static constexpr Word ordered(Word bits) {
    return static_cast<Word>((bits & kSign) != 0 ? ~bits : bits | kSign);
  }
  static constexpr Word unordered(Word rank) {
    return static_cast<Word>((rank & kSign) != 0 ? rank ^ kSign : ~rank);
  }

  static constexpr Word difference(Word bits, Word base) {  // in zigzag
    const auto steps = static_cast<Word>(ordered(bits) - ordered(base));
    const auto down = static_cast<Word>(-static_cast<int>(steps >> (kWidth - 1)));
    return static_cast<Word>(static_cast<Word>(steps << 1) ^ down);
  }
  static constexpr Word add(Word base, Word difference) {
    const auto down = static_cast<Word>(-static_cast<int>(difference & 1));
    const auto steps = static_cast<Word>((difference >> 1) ^ down);
    return unordered(static_cast<Word>(ordered(base) + steps));
  }
  static constexpr std::uint8_t exponent(Word bits) {
    return static_cast<std::uint8_t>((bits & static_cast<Word>(~kSign)) >> kMantissa);
  }
};

using Bf16Bits = FloatBits<std::uint16_t, 7>;
using F16Bits = FloatBits<std::uint16_t, 10>;
using F32Bits = FloatBits<std::uint32_t, 23>;

template <class Word>
Word load_word(ByteView bytes, std::size_t index) {
  Word word;
  std::memcpy(&word, bytes.data() + index * sizeof(Word), sizeof word);
  return word;
}
template <class Word>
void store_word(MutableByteView bytes, std::size_t index, Word word) {
  std::memcpy(bytes.data() + index * sizeof(Word), &word, sizeof word);
}

}  // namespace skein
