#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "common/grammar/internal/schema_converter.h"
#include "common/grammar/internal/string_pattern.h"

namespace skein::grammar {
namespace {

// A letter of a pattern, or of a name that others must differ from, becomes several expressions.
constexpr std::uint64_t kWorkOfLetter = 8;

std::string quoted(std::string_view keyword) { return "\"" + std::string(keyword) + "\""; }

tl::unexpected<Error> nothing_fits(const Place& place, std::string_view least,
                                   std::string_view most) {
  return no_schema(place, quoted(least) + " and " + quoted(most) + " leave nothing that fits");
}

// The least and the most of a count, both within what can be written out.
struct Counts {
  std::uint32_t least = 0;
  std::uint32_t most = kUnbounded;
  bool stated = false;
};
Result<Counts> counts_of(const json::object& schema, std::string_view least, std::string_view most,
                         const Place& place) {
  TRY(const auto lower, count_of(schema, least, place));
  TRY(const auto upper, count_of(schema, most, place));
  if (lower.value_or(0) > kMaxGrammarRepeats) {
    return not_read(place,
                    quoted(least) + " above " + std::to_string(kMaxGrammarRepeats) + " is not read",
                    "ask for less");
  }
  if (upper && *upper < lower.value_or(0)) return nothing_fits(place, least, most);
  Counts counts{.stated = lower.value_or(0) > 0 || upper};
  counts.least = static_cast<std::uint32_t>(lower.value_or(0));
  // Fewer than allowed is allowed.
  if (upper)
    counts.most = static_cast<std::uint32_t>(std::min<std::uint64_t>(*upper, kMaxGrammarRepeats));
  return counts;
}

// A bound of numbers as digits; what has more than can be written becomes kLargestWritten + 1.
Result<std::optional<DecimalBound>> bound_of(const json::object& schema, std::string_view keyword,
                                             bool excluded, const Place& place) {
  const json::value* value = schema.if_contains(keyword);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return no_schema(place, quoted(keyword) + " must be a number");
  std::array<char, 800> text;  // the smallest double has 750 digits at most
  char* end = text.data();
  if (const auto* real = value->if_double()) {
    end =
        std::to_chars(text.data(), text.data() + text.size(), *real, std::chars_format::fixed).ptr;
  } else if (const auto* whole = value->if_uint64()) {
    end = std::to_chars(text.data(), text.data() + text.size(), *whole).ptr;
  } else {
    end = std::to_chars(text.data(), text.data() + text.size(), value->get_int64()).ptr;
  }
  std::string_view digits(text.data(), static_cast<std::size_t>(end - text.data()));
  DecimalBound bound{.fraction = {}, .excluded = excluded};
  bound.negative = digits.starts_with('-');
  if (bound.negative) digits.remove_prefix(1);
  const std::size_t point = std::min(digits.find('.'), digits.size());
  const auto parsed = std::from_chars(digits.data(), digits.data() + point, bound.whole);
  if (parsed.ec != std::errc{} || bound.whole > kLargestWritten) {
    bound.whole = kLargestWritten + 1;
    return bound;
  }
  if (point < digits.size()) bound.fraction = digits.substr(point + 1);
  bound.fraction.erase(bound.fraction.find_last_not_of('0') + 1);
  constexpr std::size_t kMostDigits = 30;
  if (bound.fraction.size() > kMostDigits) {
    return not_read(place,
                    quoted(keyword) + " with more than 30 digits behind the point is not read",
                    "round it");
  }
  if (bound.is_zero()) bound.negative = false;
  return bound;
}

// < 0, 0, > 0 as numbers.
int compared(const DecimalBound& a, const DecimalBound& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  const int sign = a.negative ? -1 : 1;
  if (a.whole != b.whole) return a.whole < b.whole ? -sign : sign;
  return sign * a.fraction.compare(b.fraction);
}

// The stricter of a bound and its excluding form; `sign` 1: the larger one is.
Result<std::optional<DecimalBound>> stricter(const json::object& schema, std::string_view keyword,
                                             std::string_view excluding, int sign,
                                             const Place& place) {
  TRY(auto own, bound_of(schema, keyword, false, place));
  TRY(auto other, bound_of(schema, excluding, true, place));
  if (!own || !other) return own ? own : other;
  return sign * compared(*own, *other) > 0 ? own : other;
}

// The integer that a bound leaves as the first (`sign` 1) or the last (-1) one.
std::int64_t integer_at(const DecimalBound& bound, int sign) {
  const std::int64_t value = bound.negative ? -bound.whole : bound.whole;
  if (bound.fraction.empty()) return bound.excluded ? value + sign : value;
  // Towards zero is inwards for one of the two signs.
  return bound.negative == (sign > 0) ? value : value + sign;
}

}  // namespace

Result<Expression> SchemaConverter::convert_string(const Object& schema, const Place& place) {
  TRY(const Counts length, counts_of(schema, "minLength", "maxLength", place));
  const json::value* format = schema.if_contains("format");
  const std::string rule = format != nullptr && format->is_string()
                               ? "format-" + std::string(format->get_string())
                               : std::string();
  const bool formatted = rules_.by_name.contains(rule);
  const json::value* pattern = schema.if_contains("pattern");
  if ((length.stated ? 1 : 0) + (formatted ? 1 : 0) + (pattern != nullptr ? 1 : 0) > 1) {
    return not_read(place, "two of a length, \"pattern\" and \"format\" in one schema are not read",
                    "keep one of them");
  }
  if (formatted) return rule_of(rules_.by_name.at(rule));
  const auto in_quotes = [](Expression text) {
    return sequence_of({text_of("\""), std::move(text), text_of("\"")});
  };
  if (pattern != nullptr) {
    if (!pattern->is_string()) return no_schema(place, "\"pattern\" must be a text");
    const std::string_view words = pattern->get_string();
    TRY_VOID(merger_.spend(kWorkOfLetter * words.size(), place));
    return shared("pattern " + std::string(words), [&]() -> Result<Expression> {
      auto text = expression_of_pattern(words, json("char"));
      if (!text) {
        text.error().where = under(place, "pattern") + ", " + text.error().where;
        return tl::unexpected<Error>(std::move(text.error()));
      }
      return in_quotes(std::move(*text));
    });
  }
  if (!length.stated) return json("string");
  const std::string name =
      "string " + std::to_string(length.least) + " " + std::to_string(length.most);
  return shared(name, [&]() -> Result<Expression> {
    return in_quotes(repeat_of(json("char"), length.least, length.most));
  });
}

Result<Expression> SchemaConverter::convert_number(const Object& schema, bool integer,
                                                   const Place& place) {
  TRY(auto least, stricter(schema, "minimum", "exclusiveMinimum", 1, place));
  TRY(auto most, stricter(schema, "maximum", "exclusiveMaximum", -1, place));
  const bool too_large = least && !least->negative && least->whole > kLargestWritten;
  const bool too_small = most && most->negative && most->whole > kLargestWritten;
  if (too_large || too_small) {
    return not_read(place, "a bound that leaves only numbers of more than 16 digits is not read",
                    "use a string");
  }
  if (least && least->whole > kLargestWritten) least.reset();
  if (most && most->whole > kLargestWritten) most.reset();
  if (!least && !most) return json(integer ? "integer" : "number");
  const auto range =
      integer
          ? integers_between(least ? integer_at(*least, 1) : -kLargestWritten,
                             most ? integer_at(*most, -1) : kLargestWritten)
          : numbers_between(least.value_or(DecimalBound{
                                .negative = true, .whole = kLargestWritten, .fraction = {}}),
                            most.value_or(DecimalBound{.whole = kLargestWritten, .fraction = {}}));
  if (!range) return nothing_fits(place, "minimum", "maximum");
  return *range;
}

Result<Expression> SchemaConverter::convert_array(const Object& schema, const Place& place,
                                                  std::size_t depth) {
  TRY(Counts counts, counts_of(schema, "minItems", "maxItems", place));
  const json::value* first = schema.if_contains("prefixItems");
  const json::value* items = schema.if_contains("items");
  if (items != nullptr && items->is_array()) {  // as drafts before 2020-12 say it
    if (first != nullptr)
      return no_schema(place, "\"items\" beside \"prefixItems\" must be a schema");
    first = items;
    items = schema.if_contains("additionalItems");
  }
  if (first != nullptr && !first->is_array()) {
    return no_schema(place, "\"prefixItems\" must be a list of schemas");
  }
  std::vector<Expression> firsts;
  if (first != nullptr) {
    for (const json::value& each : first->get_array()) {
      const Place where = under(under(place, "prefixItems"), std::to_string(firsts.size()));
      TRY(Expression item, convert(each, where, depth + 1));
      firsts.push_back(std::move(item));
    }
  }
  const auto count = static_cast<std::uint32_t>(firsts.size());
  const bool none = items != nullptr && items->is_bool() && !items->get_bool();
  const bool more = items != nullptr ? !none : count == 0 || counts.least > count;
  if (!schema.contains("minItems")) counts.least = std::min(count, counts.most);
  if (!more) counts.most = std::min(counts.most, count);
  if (counts.least > counts.most) return nothing_fits(place, "minItems", "items");
  const auto after_comma = [&](Expression item) {
    return sequence_of({text_of(","), json("ws"), std::move(item)});
  };
  // From the last to the first: what may follow each item.
  Expression rest = text_of("");
  if (more && counts.most > count) {
    Expression item = json("value");
    if (items != nullptr) {
      TRY(Expression body, convert(*items, under(place, "items"), depth + 1));
      item = as_rule(place, std::move(body));
    }
    const std::uint32_t begun = count == 0 ? 1 : 0;  // the first has no comma before it
    const std::uint32_t least = std::max(counts.least, count + begun) - count - begun;
    const std::uint32_t most = counts.most == kUnbounded ? kUnbounded : counts.most - count - begun;
    rest = repeat_of(after_comma(item), least, most);
    if (begun == 1) {
      rest =
          repeat_of(sequence_of({std::move(item), std::move(rest)}), counts.least == 0 ? 0 : 1, 1);
    }
  }
  for (std::uint32_t i = std::min(count, counts.most); i > 0; --i) {
    Expression item = std::move(firsts[i - 1]);
    if (i > 1) item = after_comma(std::move(item));
    rest = sequence_of({std::move(item), std::move(rest)});
    if (i > counts.least) rest = repeat_of(std::move(rest), 0, 1);
    rest = as_rule(place, std::move(rest));
  }
  return sequence_of({text_of("["), json("ws"), std::move(rest), json("ws"), text_of("]")});
}

Expression SchemaConverter::member_of(Expression name, Expression value) const {
  return sequence_of({std::move(name), json("colon"), std::move(value)});
}

Result<std::vector<SchemaConverter::Member>> SchemaConverter::members_of(const Object& schema,
                                                                         const Place& place,
                                                                         std::size_t depth) {
  std::set<std::string, std::less<>> required;
  if (const json::value* list = schema.if_contains("required")) {
    if (!list->is_array()) return no_schema(place, "\"required\" must be a list of names");
    for (const json::value& name : list->get_array()) {
      if (!name.is_string()) return no_schema(place, "\"required\" must be a list of names");
      required.emplace(name.get_string());
    }
  }
  const json::value* further = schema.if_contains("additionalProperties");
  Object named;
  if (const json::value* properties = schema.if_contains("properties")) {
    if (!properties->is_object()) return no_schema(place, "\"properties\" must be an object");
    named = properties->get_object();
  }
  for (const std::string& name : required) {
    if (!named.contains(name)) named[name] = further != nullptr ? *further : json::value(true);
  }
  std::vector<Member> members;
  for (const auto& [key, value] : named) {
    const bool is_required = required.contains(std::string_view(key));
    const bool none = value.is_bool() && !value.get_bool();
    if (none && is_required) {
      return no_schema(place, "the property " + quoted(key) + " is required, but nothing fits it");
    }
    if (none) continue;
    TRY(Expression body, convert(value, under(under(place, "properties"), key), depth + 1));
    members.push_back({member_of(text_of(written_text(key)), std::move(body)), is_required});
  }
  return members;
}

Result<SchemaConverter::Further> SchemaConverter::further_of(const Object& schema,
                                                             const Place& place,
                                                             std::size_t depth) {
  const json::value* further = schema.if_contains("additionalProperties");
  const bool none = further == nullptr || (further->is_bool() && !further->get_bool());
  if (none) return Further{};
  const Place where = under(place, "additionalProperties");
  TRY(Expression value, convert(*further, where, depth + 1));
  const json::value* properties = schema.if_contains("properties");
  const Object* named = properties == nullptr ? nullptr : properties->if_object();
  if (named != nullptr) {
    std::uint64_t letters = 0;
    for (const auto& member : *named) letters += member.key().size();
    TRY_VOID(merger_.spend(kWorkOfLetter * letters, where));
  }
  Expression name = other_name(named, where);
  return Further{true, as_rule(where, member_of(std::move(name), std::move(value)))};
}

Result<Expression> SchemaConverter::convert_object(const Object& schema, const Place& place,
                                                   std::size_t depth) {
  const json::value* further = schema.if_contains("additionalProperties");
  const bool open = further == nullptr || (further->is_bool() && further->get_bool());
  if (open && !schema.contains("properties") && !schema.contains("required")) return json("object");
  TRY(std::vector<Member> members, members_of(schema, place, depth));
  TRY(const Further more, further_of(schema, place, depth));
  return object_of(std::move(members), more, place);
}

// Members in their order, commas between those that are there. `after` is what may follow when one
// has been written before: it begins with a comma. `first`: nothing has been written yet.
Expression SchemaConverter::object_of(std::vector<Member> members, const Further& further,
                                      const Place& place) {
  const auto after_comma = [&](Expression member) {
    return sequence_of({text_of(","), json("ws"), std::move(member)});
  };
  Expression after = text_of("");
  std::vector<Expression> firsts;  // in the order in which they are met here: from the last
  if (further.allowed) {
    after = as_rule(place, repeat_of(after_comma(further.member), 0, kUnbounded));
    firsts.push_back(sequence_of({further.member, after}));
  }
  bool may_be_empty = true;
  for (; !members.empty(); members.pop_back()) {
    Member& last = members.back();
    Expression member = as_rule(place, std::move(last.text));
    if (last.required) firsts.clear();
    may_be_empty = may_be_empty && !last.required;
    firsts.push_back(sequence_of({member, after}));
    Expression with_comma = after_comma(std::move(member));
    if (!last.required) with_comma = repeat_of(std::move(with_comma), 0, 1);
    after = as_rule(place, sequence_of({std::move(with_comma), std::move(after)}));
  }
  if (may_be_empty) firsts.push_back(text_of(""));
  return sequence_of(
      {text_of("{"), json("ws"), choice_of(std::move(firsts)), json("ws"), text_of("}")});
}

// A name that is none of the properties', written without escapes: their letters as a tree, and a
// way out of it at every letter.
Expression SchemaConverter::other_name(const Object* properties, const Place& place) {
  struct Letter {
    std::map<std::uint32_t, std::size_t> next;
    bool ends = false;
  };
  std::vector<Letter> letters(1);
  if (properties == nullptr || properties->empty()) return json("string");
  for (const auto& member : *properties) {
    std::string_view name = member.key();
    std::size_t at = 0;
    while (!name.empty()) {
      const Utf8Character next = first_character(name);
      const auto [known, is_new] = letters[at].next.try_emplace(next.code, letters.size());
      at = known->second;
      if (is_new) letters.emplace_back();
      name.remove_prefix(next.length);
    }
    letters[at].ends = true;
  }
  const std::vector<CodeRange> not_plain = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  const Expression rest = repeat_of(json("plain"), 0, kUnbounded);
  std::vector<Expression> ways(letters.size());
  for (std::size_t i = letters.size(); i-- > 0;) {  // a letter's followers have larger numbers
    std::vector<Expression> choices;
    std::vector<CodeRange> taken = not_plain;
    for (const auto& [code, next] : letters[i].next) {
      taken.push_back({code, code});
      const bool plain = code >= 0x20 && code != '"' && code != '\\';
      if (plain) choices.push_back(sequence_of({class_of({{code, code}}), ways[next]}));
    }
    if (!letters[i].ends) choices.push_back(text_of(""));
    Expression other = class_of(other_characters(sorted_ranges(std::move(taken))));
    choices.push_back(sequence_of({std::move(other), rest}));
    ways[i] = as_rule(place, choice_of(std::move(choices)));
  }
  return sequence_of({text_of("\""), ways[0], text_of("\"")});
}

}  // namespace skein::grammar
