// GBNF text to rules. Pure; private to the room. The form is in README.md.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/grammar/internal/expression.h"

namespace skein::grammar {

// Every rule that is named is defined. Errors name line and column.
Result<RuleSet> parse_gbnf(std::string_view text);

}  // namespace skein::grammar
