// The decimal numbers between two bounds, as expressions over digits. Pure; private to the room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/grammar/internal/expression.h"

namespace skein::grammar {

// What is written without a bound, or towards one that is farther away: 16 digits.
inline constexpr std::int64_t kLargestWritten = 9'999'999'999'999'999;

// Bounds within +-kLargestWritten; nothing when least > most.
std::optional<Expression> integers_between(std::int64_t least, std::int64_t most);

// A bound of numbers: sign, digits before the point (as a number), digits behind it without zeros
// at the end.
struct DecimalBound {
  bool negative = false;
  std::int64_t whole = 0;
  std::string fraction;
  bool excluded = false;  // the bound itself does not fit

  bool is_zero() const { return whole == 0 && fraction.empty(); }
};
// Numbers without an exponent. Nothing when none fits.
std::optional<Expression> numbers_between(const DecimalBound& least, const DecimalBound& most);

}  // namespace skein::grammar
