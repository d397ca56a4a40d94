// Expression: what a rule of a grammar stands for, as a tree; RuleSet: rules by number. Made by the
// GBNF parser and by the schema converter, used up by the compiler. Values; private to the room.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/utf8.h"

namespace skein::grammar {

struct CodeRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  friend bool operator==(const CodeRange&, const CodeRange&) = default;
};

inline constexpr std::uint32_t kUnbounded = std::numeric_limits<std::uint32_t>::max();

struct Expression {
  enum class Kind : unsigned char { kText, kClass, kSequence, kChoice, kRepeat, kRule };
  Kind kind = Kind::kSequence;    // without parts: the empty text
  std::string text;               // kText: UTF-8
  std::vector<CodeRange> ranges;  // kClass: of characters; sorted, apart from each other
  std::vector<Expression> parts;  // kSequence, kChoice; kRepeat: one
  std::uint32_t least = 0;        // kRepeat
  std::uint32_t most = 0;         // kRepeat; may be kUnbounded
  std::uint32_t rule = 0;         // kRule
};

Expression text_of(std::string text);
Expression sequence_of(std::vector<Expression> parts);
Expression choice_of(std::vector<Expression> parts);
Expression repeat_of(Expression part, std::uint32_t least, std::uint32_t most);
Expression rule_of(std::uint32_t rule);
// Ranges in any order; what is no character (surrogates) is left out. May come out empty.
Expression class_of(std::vector<CodeRange> ranges);

std::vector<CodeRange> sorted_ranges(std::vector<CodeRange> ranges);
// Every character that is not in `ranges`, which are sorted.
std::vector<CodeRange> other_characters(const std::vector<CodeRange>& ranges);

struct Rule {
  std::string name;
  std::string where;  // "line 3, column 1"; empty in a grammar made from a schema
  Expression body;
  bool defined = false;
};

struct RuleSet {
  std::vector<Rule> rules;
  std::unordered_map<std::string, std::uint32_t> by_name;

  std::uint32_t number_of(std::string_view name);        // a new rule, not yet defined, if need be
  std::uint32_t add(std::string name, Expression body);  // of a name that is new
};

}  // namespace skein::grammar
