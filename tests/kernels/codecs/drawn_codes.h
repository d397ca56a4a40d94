// Codes drawn from the distributions that pages of weights have, and some that they have not.
// Tests only.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "kernels/codecs/coded_page.h"

namespace skein::test {

using Codes = std::vector<std::uint8_t>;

enum class Drawn { kUniform, kUniform4, kOne, kGeometric, kRareOther, kNormal, kTwo, kSparse };
inline constexpr Drawn kAllDrawn[] = {Drawn::kUniform,   Drawn::kUniform4,  Drawn::kOne,
                                      Drawn::kGeometric, Drawn::kRareOther, Drawn::kNormal,
                                      Drawn::kTwo,       Drawn::kSparse};

inline Codes draw(Drawn from, std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(128, 20);
  std::geometric_distribution<int> geometric(0.4);
  Codes codes(count);
  for (std::uint8_t& code : codes) {
    const auto bits = static_cast<std::uint32_t>(random());
    switch (from) {
      case Drawn::kUniform:
        code = static_cast<std::uint8_t>(bits);
        break;
      case Drawn::kUniform4:
        code = bits & 15;
        break;
      case Drawn::kOne:
        code = 77;
        break;
      case Drawn::kGeometric:
        code = static_cast<std::uint8_t>(std::min(geometric(random), 255));
        break;
      case Drawn::kRareOther:  // one in 4096: rarer than a slot of a small table
        code = bits % 4096 == 0 ? 255 : 0;
        break;
      case Drawn::kNormal:
        code = static_cast<std::uint8_t>(std::lround(normal(random)));
        break;
      case Drawn::kTwo:
        code = (bits & 1) != 0 ? 3 : 250;
        break;
      case Drawn::kSparse:
        code = static_cast<std::uint8_t>(bits % 17 == 0 ? bits >> 24 : 8 * (bits >> 8 & 3));
        break;
    }
  }
  return codes;
}

inline Codes draw_contexts(std::size_t count, std::uint32_t contexts, std::uint32_t seed) {
  std::mt19937 random(seed);
  Codes values(count);
  for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(random() % contexts);
  return values;
}

inline Buffer encoded(const Codes& codes, const Codes& contexts, CodecMemory& memory) {
  Buffer page(coded_page_bound(codes.size()));
  page.resize(encode_page(codes, {contexts}, memory, page));
  return page;
}

// Order-0 entropy in bytes.
inline double entropy_bytes(const Codes& codes) {
  std::vector<double> counts(256);
  for (const std::uint8_t code : codes) counts[code] += 1;
  double bits = 0;
  for (const double count : counts) {
    if (count > 0) bits -= count * std::log2(count / static_cast<double>(codes.size()));
  }
  return bits / 8;
}

}  // namespace skein::test
