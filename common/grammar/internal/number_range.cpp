// Numbers are compared digit by digit, from the left: once a digit is larger than that of the lower
// bound (or smaller than that of the upper one), the digits behind it are free.
#include "common/grammar/internal/number_range.h"

#include <algorithm>
#include <string_view>

namespace skein::grammar {
namespace {

Expression digits(char first, char last) {
  return class_of({{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last)}});
}
Expression free_digits(std::size_t count) {
  const auto times = static_cast<std::uint32_t>(count);
  return repeat_of(digits('0', '9'), times, times);
}

// Texts of as many digits as `least`, not below it.
Expression not_below(std::string_view least) {
  if (least.empty()) return text_of("");
  std::vector<Expression> choices;
  choices.push_back(sequence_of({digits(least[0], least[0]), not_below(least.substr(1))}));
  if (least[0] < '9') {
    const char next = static_cast<char>(least[0] + 1);
    choices.push_back(sequence_of({digits(next, '9'), free_digits(least.size() - 1)}));
  }
  return choice_of(std::move(choices));
}

Expression not_above(std::string_view most) {
  if (most.empty()) return text_of("");
  std::vector<Expression> choices;
  choices.push_back(sequence_of({digits(most[0], most[0]), not_above(most.substr(1))}));
  if (most[0] > '0') {
    const char next = static_cast<char>(most[0] - 1);
    choices.push_back(sequence_of({digits('0', next), free_digits(most.size() - 1)}));
  }
  return choice_of(std::move(choices));
}

// Of one length both.
Expression same_length(std::string_view least, std::string_view most) {
  if (least.empty()) return text_of("");
  if (least[0] == most[0]) {
    return sequence_of({digits(least[0], least[0]), same_length(least.substr(1), most.substr(1))});
  }
  std::vector<Expression> choices;
  choices.push_back(sequence_of({digits(least[0], least[0]), not_below(least.substr(1))}));
  if (most[0] - least[0] > 1) {
    choices.push_back(
        sequence_of({digits(static_cast<char>(least[0] + 1), static_cast<char>(most[0] - 1)),
                     free_digits(least.size() - 1)}));
  }
  choices.push_back(sequence_of({digits(most[0], most[0]), not_above(most.substr(1))}));
  return choice_of(std::move(choices));
}

std::optional<Expression> wholes_between(std::int64_t least, std::int64_t most) {
  std::vector<Expression> choices;
  std::int64_t first = 0;  // the least and the largest number of one length
  std::int64_t last = 9;
  while (first <= most) {
    const std::int64_t from = std::max(first, least);
    const std::int64_t to = std::min(last, most);
    if (from <= to) choices.push_back(same_length(std::to_string(from), std::to_string(to)));
    first = last + 1;
    last = last * 10 + 9;
  }
  if (choices.empty()) return std::nullopt;
  return choice_of(std::move(choices));
}

// Texts of digits behind a point: those of at least one digit, and whether none at all fits too.
struct Behind {
  bool none = false;
  std::vector<Expression> some;

  bool empty() const { return !none && some.empty(); }
  // After digits that are settled: what may come next, nothing included.
  Expression rest() && {
    if (none) some.push_back(text_of(""));
    return choice_of(std::move(some));
  }
  // The point too, where it is wanted.
  Expression with_point() && {
    std::vector<Expression> choices;
    if (none) choices.push_back(text_of(""));
    if (!some.empty()) choices.push_back(sequence_of({text_of("."), choice_of(std::move(some))}));
    return choice_of(std::move(choices));
  }
  void add(Expression digit, Behind rest_of) {
    if (rest_of.empty()) return;
    some.push_back(sequence_of({std::move(digit), std::move(rest_of).rest()}));
  }
};

constexpr std::uint32_t kMostBehind = 16;

Behind anything() {
  Behind made{true, {}};
  made.some.push_back(repeat_of(digits('0', '9'), 1, kMostBehind));
  return made;
}
Behind zeros() {
  Behind made{true, {}};
  made.some.push_back(repeat_of(digits('0', '0'), 1, kMostBehind));
  return made;
}
Behind not_zero() {
  Behind made;
  made.some.push_back(
      sequence_of({repeat_of(digits('0', '0'), 0, kMostBehind - 1), digits('1', '9'),
                   repeat_of(digits('0', '9'), 0, kMostBehind - 1)}));
  return made;
}

// What may follow the point when the digits before it are those of the bound or of both.
// `least`, `most`: digits still to be met, without zeros at the end; nullptr: no bound.
struct Limit {
  std::string_view digits;
  bool excluded;
  char first() const { return digits.empty() ? '0' : digits[0]; }
  Limit rest() const { return {digits.substr(std::min<std::size_t>(1, digits.size())), excluded}; }
};

Behind behind(std::optional<Limit> least, std::optional<Limit> most) {
  if (!least && !most) return anything();
  const bool least_met = least && least->digits.empty();
  const bool most_met = most && most->digits.empty();
  if (least_met && !most) return least->excluded ? not_zero() : anything();
  if (most_met && (!least || least_met)) {
    const bool zero_fits = !most->excluded && !(least && least->excluded);
    return zero_fits ? zeros() : Behind{};
  }
  Behind made;
  made.none = (!least || (least_met && !least->excluded)) && (!most_met || !most->excluded);
  const char low = least ? least->first() : '0';
  const char high = most ? most->first() : '9';
  for (char digit = low; digit <= high; ++digit) {
    const bool at_least = least && digit == low;
    const bool at_most = most && digit == high;
    made.add(digits(digit, digit), behind(at_least ? std::optional(least->rest()) : std::nullopt,
                                          at_most ? std::optional(most->rest()) : std::nullopt));
  }
  return made;
}

// The numbers from `least` to `most`, signs left aside.
void add_sizes(const DecimalBound& least, const DecimalBound& most,
               std::vector<Expression>& choices) {
  const auto add = [&choices](std::int64_t whole, Behind fraction) {
    if (fraction.empty()) return;
    choices.push_back(
        sequence_of({text_of(std::to_string(whole)), std::move(fraction).with_point()}));
  };
  const Limit low{least.fraction, least.excluded};
  const Limit high{most.fraction, most.excluded};
  if (least.whole == most.whole) return add(least.whole, behind(low, high));
  if (least.whole > most.whole) return;
  add(least.whole, behind(low, std::nullopt));
  if (auto between = wholes_between(least.whole + 1, most.whole - 1)) {
    choices.push_back(sequence_of({std::move(*between), anything().with_point()}));
  }
  add(most.whole, behind(std::nullopt, high));
}

}  // namespace

std::optional<Expression> integers_between(std::int64_t least, std::int64_t most) {
  std::vector<Expression> choices;
  if (least < 0) {
    if (auto sizes = wholes_between(std::max<std::int64_t>(1, -most), -least)) {
      choices.push_back(sequence_of({text_of("-"), std::move(*sizes)}));
    }
  }
  if (most >= 0) {
    auto sizes = wholes_between(std::max<std::int64_t>(0, least), most);
    if (sizes) choices.push_back(std::move(*sizes));
  }
  if (choices.empty()) return std::nullopt;
  return choice_of(std::move(choices));
}

std::optional<Expression> numbers_between(const DecimalBound& least, const DecimalBound& most) {
  const DecimalBound zero;
  const DecimalBound above_zero{.fraction = {}, .excluded = true};
  std::vector<Expression> choices;
  if (least.negative) {
    std::vector<Expression> sizes;
    add_sizes(most.negative ? most : above_zero, least, sizes);
    if (!sizes.empty()) {
      choices.push_back(sequence_of({text_of("-"), choice_of(std::move(sizes))}));
    }
  }
  if (!most.negative) add_sizes(least.negative ? zero : least, most, choices);
  if (choices.empty()) return std::nullopt;
  return choice_of(std::move(choices));
}

}  // namespace skein::grammar
