// A parser by descent, one function a form: rule, choice, sequence, symbol, and the three kinds of
// terminal. Positions are byte offsets until an error turns one into line and column.
#include "common/grammar/internal/gbnf_parser.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/grammar/grammar.h"
#include "common/grammar/internal/text_cursor.h"

namespace skein::grammar {
namespace {

bool is_name_letter(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; }

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

class GbnfParser : private TextCursor {
 public:
  explicit GbnfParser(std::string_view text) : TextCursor(text) {}

  Result<RuleSet> parse() {
    skip_blank(true);
    while (!at_end()) TRY_VOID(rule());
    TRY_VOID(check_defined());
    return std::move(rules_);
  }

 private:
  std::string place(std::size_t at) const {
    const std::string_view before = text_.substr(0, at);
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    const auto is_lead = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
    return "line " + std::to_string(line_of(at)) + ", column " +
           std::to_string(1 + std::ranges::count_if(before.substr(line_start), is_lead));
  }
  // Lines are counted on from the place that was asked for last: every rule asks for its own.
  std::ptrdiff_t line_of(std::size_t at) const {
    if (at < counted_to_) {
      counted_to_ = 0;
      lines_ = 0;
    }
    lines_ += std::ranges::count(text_.substr(counted_to_, at - counted_to_), '\n');
    counted_to_ = at;
    return 1 + lines_;
  }
  tl::unexpected<Error> bad(std::size_t at, std::string what, std::string remedy) const {
    return fail(Errc::kCorrupt, std::move(what), place(at), std::move(remedy));
  }
  tl::unexpected<Error> too_much(std::size_t at, std::string what, std::size_t most,
                                 std::string remedy) const {
    return fail(Errc::kUnsupported, std::move(what) + ": more than " + std::to_string(most),
                place(at), std::move(remedy));
  }

  // Blanks and comments; line ends too where they do not end the rule.
  void skip_blank(bool line_ends) {
    while (!at_end()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (c == ' ' || c == '\t' || (line_ends && (c == '\r' || c == '\n'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view name() {
    const std::size_t begin = at_;
    while (!at_end() && is_name_letter(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Result<std::uint32_t> rule_number(std::string_view name, std::size_t at) {
    const std::uint32_t number = rules_.number_of(name);
    if (rules_.rules.size() > kMaxGrammarRules) {
      return too_much(at, "too many rules", kMaxGrammarRules, "write a smaller grammar");
    }
    if (number == mentioned_.size()) mentioned_.push_back(at);
    return number;
  }

  Result<void> rule() {
    const std::size_t begin = at_;
    const std::string_view own_name = name();
    if (own_name.empty()) {
      return bad(at_, "a rule begins with its name", "write: name ::= what it stands for");
    }
    skip_blank(false);
    if (!take("::=")) {
      return bad(at_, "no ::= after the rule name " + quoted(own_name),
                 "write: name ::= what it stands for");
    }
    skip_blank(true);
    TRY(const std::uint32_t number, rule_number(own_name, begin));
    if (rules_.rules[number].defined) {
      return bad(begin, "the rule " + quoted(own_name) + " is defined twice",
                 "join the two with |, or rename one");
    }
    TRY(Expression body, choice(0));
    rules_.rules[number].body = std::move(body);
    rules_.rules[number].where = place(begin);
    rules_.rules[number].defined = true;
    if (!at_end() && !sees('\n') && !sees('\r')) return unexpected();
    skip_blank(true);
    return {};
  }

  tl::unexpected<Error> unexpected() const {
    if (sees(')')) return bad(at_, "a ) without its (", "remove it, or open the group before");
    if (sees('<') || sees('!')) {
      return bad(at_, "tokens as such (<...>) are not read",
                 "write the text of the token in double quotes");
    }
    if (sees(':')) {
      return bad(at_, "a rule begins before the one above has ended",
                 "an empty alternative cannot be the last: write  x ::= | \"a\"");
    }
    const char c = text_[at_];
    const std::string what = c > ' ' && c < 0x7F ? "'" + std::string(1, c) + "'" : "a character";
    return bad(at_, what + " that means nothing here",
               "text stands in double quotes, a choice of characters in [ ], one rule on a line");
  }

  // Alternatives, up to `)` or what ends the rule. `depth`: how many groups are open.
  Result<Expression> choice(std::size_t depth) {
    std::vector<Expression> alternatives;
    do {
      skip_blank(true);
      TRY(Expression next, sequence(depth));
      alternatives.push_back(std::move(next));
    } while (take('|'));
    return choice_of(std::move(alternatives));
  }

  Result<Expression> sequence(std::size_t depth) {
    std::vector<Expression> parts;
    while (!at_end()) {
      TRY(std::optional<Expression> next, symbol(depth));
      if (!next) break;
      skip_blank(depth > 0);
      TRY(Expression part, repeated(std::move(*next), depth > 0));
      parts.push_back(std::move(part));
    }
    return sequence_of(std::move(parts));
  }

  // One symbol without what repeats it; nothing where none begins.
  Result<std::optional<Expression>> symbol(std::size_t depth) {
    const std::size_t begin = at_;
    if (take('"')) return literal(begin);
    if (take('[')) return character_class(begin);
    if (take('.')) return class_of({{0, kMaxCodePoint}});
    if (take('(')) {
      if (depth == kMaxGrammarNesting) {
        return too_much(begin, "groups nested too deep", kMaxGrammarNesting, "use a rule instead");
      }
      TRY(Expression group, choice(depth + 1));
      if (!take(')')) {
        if (!at_end()) return unexpected();
        return bad(begin, "this ( is never closed", "close it with )");
      }
      return group;
    }
    if (!at_end() && is_name_letter(text_[at_])) {
      TRY(const std::uint32_t number, rule_number(name(), begin));
      return rule_of(number);
    }
    const bool repeats = sees('*') || sees('+') || sees('?') || sees('{');
    if (repeats) {
      return bad(at_, "nothing stands before this " + std::string(1, text_[at_]),
                 "put it after text, a class, a group or a rule name; twice needs a group");
    }
    return std::nullopt;
  }

  Result<Expression> literal(std::size_t begin) {
    std::string bytes;
    while (!take('"')) {
      TRY(const std::uint32_t code, character(begin, "text", "\""));
      append_utf8(bytes, code);
    }
    return text_of(std::move(bytes));
  }

  Result<Expression> character_class(std::size_t begin) {
    const bool others = take('^');
    std::vector<CodeRange> ranges;
    while (!take(']')) {
      const std::size_t at = at_;
      TRY(const std::uint32_t first, character(begin, "class", "]"));
      std::uint32_t last = first;
      if (sees('-') && !rest().starts_with("-]")) {
        ++at_;
        TRY(last, character(begin, "class", "]"));
      }
      if (last < first)
        return bad(at, "a range that runs backwards", "write the smaller end first");
      ranges.push_back({first, last});
    }
    if (others) ranges = other_characters(sorted_ranges(std::move(ranges)));
    Expression made = class_of(std::move(ranges));
    if (made.ranges.empty()) {
      return bad(begin, "a class that no character is in", "name at least one character");
    }
    return made;
  }

  // One character of the terminal that began at `begin`, escaped or not.
  Result<std::uint32_t> character(std::size_t begin, std::string_view kind, std::string_view end) {
    if (at_end()) {
      return bad(begin, "this " + std::string(kind) + " is never closed",
                 "close it with " + std::string(end));
    }
    const std::size_t at = at_;
    if (take('\\')) return escape(at);
    const Utf8Character next = take_character();
    if (!next.valid) return bad(at, "bytes that are no UTF-8", "save the grammar as UTF-8");
    return next.code;
  }

  Result<std::uint32_t> escape(std::size_t begin) {
    constexpr std::string_view kRemedy =
        R"(\n \r \t \" \\ \[ \] \- \xHH \uHHHH \UHHHHHHHH are the escapes)";
    const char letter = at_end() ? '\0' : text_[at_++];
    switch (letter) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
        return static_cast<std::uint32_t>(letter);
      default:
        break;
    }
    const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits == 0) return bad(begin, "an escape that is not known", std::string(kRemedy));
    const std::string_view hex = text_.substr(at_, digits);
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (error != std::errc{} || end != hex.data() + digits) {
      return bad(begin, "an escape that wants " + std::to_string(digits) + " hexadecimal digits",
                 std::string(kRemedy));
    }
    if (!is_character(code)) {
      return bad(begin, "an escape that is no Unicode character", "leave it out");
    }
    at_ += digits;
    return code;
  }

  Result<Expression> repeated(Expression part, bool line_ends) {
    std::uint32_t least = 0;
    std::uint32_t most = kUnbounded;
    if (take('+')) {
      least = 1;
    } else if (take('?')) {
      most = 1;
    } else if (sees('{')) {
      TRY_VOID(counts(least, most, line_ends));
    } else if (!take('*')) {
      return part;
    }
    skip_blank(line_ends);
    return repeat_of(std::move(part), least, most);
  }

  // {m} {m,} {m,n}
  Result<void> counts(std::uint32_t& least, std::uint32_t& most, bool line_ends) {
    const std::size_t begin = at_++;
    skip_blank(line_ends);
    TRY(least, count(begin));
    most = least;
    skip_blank(line_ends);
    if (take(',')) {
      skip_blank(line_ends);
      most = kUnbounded;
      if (!at_end() && is_digit(text_[at_])) {
        TRY(most, count(begin));
      }
      skip_blank(line_ends);
    }
    if (!take('}')) return bad_counts(begin);
    if (most < least) return bad(begin, "a repetition whose most is below its least", "swap them");
    return {};
  }

  tl::unexpected<Error> bad_counts(std::size_t at) const {
    return bad(at, "a repetition that is not read", "write {m}, {m,} or {m,n}");
  }

  Result<std::uint32_t> count(std::size_t begin) {
    const std::size_t first = at_;
    while (!at_end() && is_digit(text_[at_])) ++at_;
    if (at_ == first) return bad_counts(begin);
    std::uint32_t value = 0;
    const auto parsed = std::from_chars(text_.data() + first, text_.data() + at_, value);
    if (parsed.ec != std::errc{} || value > kMaxGrammarRepeats) {
      return too_much(begin, "too many repetitions", kMaxGrammarRepeats,
                      "use a smaller number, or {m,} for no limit");
    }
    return value;
  }

  Result<void> check_defined() const {
    std::size_t first = std::string_view::npos;
    for (std::size_t i = 0; i < rules_.rules.size(); ++i) {
      if (!rules_.rules[i].defined) first = std::min(first, mentioned_[i]);
    }
    if (first == std::string_view::npos) return {};
    std::size_t end = first;
    while (end < text_.size() && is_name_letter(text_[end])) ++end;
    return bad(first, "the rule " + quoted(text_.substr(first, end - first)) + " is not defined",
               "define it, or put it in double quotes if it is text");
  }

  RuleSet rules_;
  mutable std::size_t counted_to_ = 0;  // lines_ are those that end before
  mutable std::ptrdiff_t lines_ = 0;
  std::vector<std::size_t> mentioned_;  // where each rule's name stands first
};

}  // namespace

Result<RuleSet> parse_gbnf(std::string_view text) {
  if (text.size() > kMaxGrammarBytes) {
    return fail(Errc::kUnsupported,
                "the grammar has " + std::to_string(text.size()) + " bytes, more than " +
                    std::to_string(kMaxGrammarBytes),
                "grammar", "write a smaller one");
  }
  return GbnfParser(text).parse();
}

}  // namespace skein::grammar
