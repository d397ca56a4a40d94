// A schema's "pattern" (ECMA 262) as an expression over what stands between the quotes of a JSON
// string. Pure; private to the room.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/grammar/internal/expression.h"

namespace skein::grammar {

// `any_character` matches one character of a JSON string: what stands before and behind a pattern
// that is not anchored. Read: text, classes, \d \w \s and their opposites, groups, alternatives,
// * + ? {m,n}, ^ and $ at the ends. Errors (Errc::kUnsupported, kCorrupt) name the place.
Result<Expression> expression_of_pattern(std::string_view pattern, const Expression& any_character);

// One character of `ranges` as JSON writes it in a string: what may not stand there is escaped.
Expression json_character(std::vector<CodeRange> ranges);

}  // namespace skein::grammar
