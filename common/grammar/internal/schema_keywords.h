// The keywords of a JSON schema: which are read, and their values checked. Private to the room.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace skein::grammar {

namespace json = boost::json;

// Where a value stands in the schema, as a JSON pointer: "#/properties/a". A long one is cut: names
// come from outside, and each rule has its place.
using Place = std::string;
Place under(const Place& place, std::string_view key);

tl::unexpected<Error> no_schema(const Place& place, std::string what);
tl::unexpected<Error> not_read(const Place& place, std::string what, std::string remedy);

// Refuses keywords that would change the meaning and are not read. Those that nobody knows are
// annotations, as the standard has it.
Result<void> check_keywords(const json::object& schema, const Place& place);
// Whether a keyword says what fits and is read.
bool is_constraint(std::string_view keyword);
// Whether anything in `schema` says what fits it, keywords among `besides` apart.
bool says_something(const json::object& schema, std::initializer_list<std::string_view> besides);

// A count such as minLength; nothing when absent.
Result<std::optional<std::uint64_t>> count_of(const json::object& schema, std::string_view keyword,
                                              const Place& place);

// Whether no number in it is beyond what a double holds.
bool is_finite(const json::value& value);
// A value as it is written in an answer: without blanks, numbers in their shortest form.
std::string written(const json::value& value);
std::string written_text(std::string_view text);  // in quotes

}  // namespace skein::grammar
