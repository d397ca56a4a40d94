#include "common/grammar/internal/string_pattern.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/grammar/grammar.h"
#include "common/grammar/internal/text_cursor.h"

namespace skein::grammar {
namespace {

using Ranges = std::vector<CodeRange>;

const Ranges kDigits = {{'0', '9'}};
const Ranges kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Ranges kSpace = {{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                       {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                       {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const Ranges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

constexpr std::string_view kInnerAnchor = "^ and $ anywhere but at the ends";

// The letter after a backslash that stands for one control character; 0 for others.
std::uint32_t control_escape(char letter) {
  switch (letter) {
    case 't':
      return '\t';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    default:
      return 0;
  }
}

constexpr std::string_view kEscaped = "\b\t\n\f\r\"\\";
constexpr std::string_view kEscapeLetters = "btnfr\"\\";

bool is_plain(std::uint32_t code) { return code >= 0x20 && code != '"' && code != '\\'; }

// The escapes of `codes`, none of which is plain: \n and its like, \u00XX for what has none.
Expression json_escapes(const std::vector<std::uint32_t>& codes) {
  Ranges letters;
  Ranges low_digits[2];  // of \u000X and \u001X
  for (const std::uint32_t code : codes) {
    const std::size_t at = kEscaped.find(static_cast<char>(code));
    const auto letter = static_cast<std::uint32_t>(
        at != std::string_view::npos ? kEscapeLetters[at] : "0123456789abcdef"[code % 16]);
    (at != std::string_view::npos ? letters : low_digits[code / 16]).push_back({letter, letter});
  }
  std::vector<Expression> choices;
  if (!letters.empty()) choices.push_back(class_of(std::move(letters)));
  for (std::size_t high = 0; high < 2; ++high) {
    if (low_digits[high].empty()) continue;
    choices.push_back(
        sequence_of({text_of(high == 0 ? "u000" : "u001"), class_of(low_digits[high])}));
  }
  return sequence_of({text_of("\\"), choice_of(std::move(choices))});
}

class PatternParser : private TextCursor {
 public:
  PatternParser(std::string_view text, const Expression& any) : TextCursor(text), any_(any) {}

  // Alternatives, each with its own anchors.
  Result<Expression> whole() {
    std::vector<Expression> alternatives;
    do {
      std::vector<Expression> parts;
      if (!take('^')) parts.push_back(repeat_of(any_, 0, kUnbounded));
      TRY(Expression body, sequence(0));
      parts.push_back(std::move(body));
      if (!take('$')) parts.push_back(repeat_of(any_, 0, kUnbounded));
      alternatives.push_back(sequence_of(std::move(parts)));
    } while (take('|'));
    if (at_end()) return choice_of(std::move(alternatives));
    if (sees(')')) return bad("a ) without its (");
    return unsupported(kInnerAnchor);
  }

 private:
  tl::unexpected<Error> bad(std::string_view what) const {
    return fail(Errc::kCorrupt, "\"pattern\" is no regular expression: " + std::string(what),
                "character " + std::to_string(at_ + 1), "see ECMA 262");
  }
  tl::unexpected<Error> unsupported(std::string_view what) const {
    return fail(Errc::kUnsupported, "\"pattern\" uses what is not read: " + std::string(what),
                "character " + std::to_string(at_ + 1), "write the pattern without it");
  }

  Result<Expression> alternatives(std::size_t depth) {
    std::vector<Expression> all;
    do {
      TRY(Expression next, sequence(depth));
      all.push_back(std::move(next));
    } while (take('|'));
    return choice_of(std::move(all));
  }

  Result<Expression> sequence(std::size_t depth) {
    std::vector<Expression> parts;
    while (!at_end() && !sees('|') && !sees(')') && !sees('^') && !sees('$')) {
      TRY(Expression next, atom(depth));
      TRY(Expression part, quantified(std::move(next)));
      parts.push_back(std::move(part));
    }
    return sequence_of(std::move(parts));
  }

  Result<Expression> atom(std::size_t depth) {
    if (sees('*') || sees('+') || sees('?')) return bad("nothing to repeat");
    if (take('.')) return json_character(other_characters(kLineEnds));
    if (take('[')) return character_class();
    if (sees('(')) return group(depth);
    if (take('\\')) {
      TRY(Ranges ranges, escape());
      return json_character(std::move(ranges));
    }
    TRY(const std::uint32_t code, character());
    return json_character({{code, code}});
  }

  Result<Expression> group(std::size_t depth) {
    if (depth == kMaxGrammarNesting) return unsupported("groups nested deeper than 100");
    take('(');
    if (take('?')) {
      const bool named = take('<') && !sees('=') && !sees('!');
      if (named) at_ = std::min(text_.find('>', at_), text_.size());
      if (!take(named ? '>' : ':')) return unsupported("looking ahead or behind");
    }
    TRY(Expression inside, alternatives(depth + 1));
    if (sees('^') || sees('$')) return unsupported(kInnerAnchor);
    if (!take(')')) return bad("a ( is never closed");
    return inside;
  }

  // {m} {m,} {m,n} if it is one.
  Result<bool> take_counts(std::uint32_t& least, std::uint32_t& most) {
    const std::size_t begin = at_;
    const auto number = [&](std::uint32_t& value) {
      const char* const first = text_.data() + at_;
      const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
      if (error == std::errc::result_out_of_range) value = kUnbounded;
      at_ += static_cast<std::size_t>(end - first);
      return end != first;
    };
    bool read = take('{') && number(least);
    most = least;
    if (read && take(',')) {
      most = kUnbounded;
      if (!sees('}')) read = number(most) && most != kUnbounded;
    }
    read = read && take('}');
    if (!read) {
      at_ = begin;
      return false;
    }
    if (least > kMaxGrammarRepeats || (most != kUnbounded && most > kMaxGrammarRepeats)) {
      return unsupported("more than " + std::to_string(kMaxGrammarRepeats) + " repetitions");
    }
    if (most < least) return bad("a repetition whose most is below its least");
    return true;
  }

  Result<Expression> quantified(Expression part) {
    std::uint32_t least = 0;
    std::uint32_t most = kUnbounded;
    if (take('+')) {
      least = 1;
    } else if (take('?')) {
      most = 1;
    } else if (sees('{')) {
      TRY(const bool counted, take_counts(least, most));
      if (!counted) return part;  // the { is itself
    } else if (!take('*')) {
      return part;
    }
    take('?');  // as few as possible: the same texts
    if (sees('*') || sees('+') || sees('?')) return bad("nothing to repeat");
    return repeat_of(std::move(part), least, most);
  }

  Result<std::uint32_t> character() {
    const Utf8Character next = take_character();
    if (!next.valid) return bad("bytes that are no UTF-8");
    return next.code;
  }

  Result<Expression> character_class() {
    const bool others = take('^');
    Ranges ranges;
    while (!take(']')) {
      if (at_end()) return bad("a [ is never closed");
      TRY(Ranges first, class_member());
      const bool is_one = first.size() == 1 && first[0].first == first[0].last;
      if (is_one && sees('-') && !rest().starts_with("-]")) {
        ++at_;
        if (at_end()) return bad("a [ is never closed");
        TRY(const Ranges last, class_member());
        if (last.size() != 1 || last[0].first != last[0].last || last[0].first < first[0].first) {
          return bad("a range that runs backwards, or to no single character");
        }
        first[0].last = last[0].last;
      }
      ranges.insert(ranges.end(), first.begin(), first.end());
    }
    ranges = sorted_ranges(std::move(ranges));
    if (others) ranges = other_characters(ranges);
    if (class_of(ranges).ranges.empty()) return unsupported("a class that no character is in");
    return json_character(std::move(ranges));
  }

  Result<Ranges> class_member() {
    if (take('\\')) {
      if (take('b')) return Ranges{{'\b', '\b'}};
      if (take('-')) return Ranges{{'-', '-'}};
      return escape();
    }
    TRY(const std::uint32_t code, character());
    return Ranges{{code, code}};
  }

  // What stands behind a backslash, as the characters that it may be.
  Result<Ranges> escape() {
    if (at_end()) return bad("a backslash ends it");
    const char letter = text_[at_];
    const auto one = [](std::uint32_t code) { return Ranges{{code, code}}; };
    if (take('d')) return kDigits;
    if (take('D')) return other_characters(kDigits);
    if (take('w')) return kWord;
    if (take('W')) return other_characters(kWord);
    if (take('s')) return kSpace;
    if (take('S')) return other_characters(kSpace);
    if (const std::uint32_t code = control_escape(letter); code != 0) {
      ++at_;
      return one(code);
    }
    if (letter == 'x' || letter == 'u') {
      TRY(const std::uint32_t code, coded());
      return one(code);
    }
    if (letter == '0' && (at_ + 1 == text_.size() || !is_digit(text_[at_ + 1]))) {
      ++at_;
      return one(0);
    }
    if (is_digit(letter)) return unsupported("a reference to a group");
    if (is_letter(letter)) return unsupported("the escape \\" + std::string(1, letter));
    TRY(const std::uint32_t code, character());
    return one(code);
  }

  // xHH, uHHHH, a pair of those that is one character, u{H...}
  Result<std::uint32_t> coded() {
    const bool braces = take("u{");
    const std::size_t digits = braces || take('x') ? 2 : 4;
    if (digits == 4) take('u');
    const auto hex = [&](std::size_t count) -> std::optional<std::uint32_t> {
      const std::string_view text = text_.substr(at_, count);
      std::uint32_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
      const bool whole = text.size() == count && end == text.data() + count;
      if (error != std::errc{} || !whole) return std::nullopt;
      at_ += count;
      return value;
    };
    const std::size_t close = braces ? text_.find('}', at_) : 0;
    if (close == std::string_view::npos) return bad("a \\u{ is never closed");
    auto code = hex(braces ? close - at_ : digits);
    if (!code) return bad("an escape without its hexadecimal digits");
    if (braces) take('}');
    if (!braces && *code >= 0xD800 && *code < 0xDC00 && take("\\u")) {
      const auto low = hex(4);
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
      }
    }
    if (!is_character(*code)) return unsupported("an escape that is no character");
    return *code;
  }

  const Expression& any_;
};

}  // namespace

Expression json_character(std::vector<CodeRange> ranges) {
  std::vector<std::uint32_t> escaped;
  Ranges plain;
  for (const CodeRange& range : sorted_ranges(std::move(ranges))) {
    std::uint32_t code = range.first;
    for (; code <= range.last && code <= '\\'; ++code) {
      if (is_plain(code)) {
        plain.push_back({code, code});
      } else {
        escaped.push_back(code);
      }
    }
    if (code <= range.last) plain.push_back({code, range.last});
  }
  std::vector<Expression> choices;
  if (!plain.empty()) choices.push_back(class_of(std::move(plain)));
  if (!escaped.empty()) choices.push_back(json_escapes(escaped));
  return choice_of(std::move(choices));
}

Result<Expression> expression_of_pattern(std::string_view pattern,
                                         const Expression& any_character) {
  return PatternParser(pattern, any_character).whole();
}

}  // namespace skein::grammar
