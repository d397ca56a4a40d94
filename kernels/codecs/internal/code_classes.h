// Classes: which codes of a quantized matrix share statistics. The encoder chooses by what they
// save; the decoder spreads the chosen ones over the codes. Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "kernels/codecs/quantized.h"

namespace skein {

// Numbers stand in coded pages: never renumber.
enum class ClassesOf : std::uint8_t {
  kNothing = 0,  // one context for all
  kZeros = 1,    // a class for each of the 128 zero points of a head: where the codes' middle lies
  kRows = 2,     // a class for each stored row
  kColumns = 3,  // a class for each column, the last group's zeros included
};

// How many classes are told; nothing for a number that is not ClassesOf, or one that does not go
// with the shape.
std::optional<std::size_t> count_classes(const QuantizedShape& shape, ClassesOf of);

// What saves most, and its classes; kNothing where it is not worth its tables and decoding time.
ClassesOf choose_classes(const QuantizedShape& shape, std::span<const std::uint8_t> codes,
                         std::span<const std::uint16_t> heads, std::vector<std::uint8_t>& classes);

// A context for every code. `of` is not kNothing; classes: count_classes of them.
void spread_classes(const QuantizedShape& shape, ClassesOf of,
                    std::span<const std::uint8_t> classes, std::span<const std::uint16_t> heads,
                    std::span<std::uint8_t> contexts);

}  // namespace skein
