#include "common/grammar/internal/schema_keywords.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>

namespace skein::grammar {
namespace {

// Read, apart from $ref and what combines schemas.
constexpr std::string_view kConstraints[] = {"type",
                                             "enum",
                                             "const",
                                             "properties",
                                             "required",
                                             "items",
                                             "minItems",
                                             "maxItems",
                                             "prefixItems",
                                             "additionalProperties",
                                             "minLength",
                                             "maxLength",
                                             "pattern",
                                             "format",
                                             "additionalItems",
                                             "minimum",
                                             "maximum",
                                             "nullable",
                                             "exclusiveMinimum",
                                             "exclusiveMaximum",
                                             "$ref",
                                             "allOf",
                                             "anyOf",
                                             "oneOf"};

constexpr std::string_view kNotRead[] = {"not",           "if",
                                         "then",          "else",
                                         "contains",      "minContains",
                                         "maxContains",   "uniqueItems",
                                         "multipleOf",    "patternProperties",
                                         "propertyNames", "minProperties",
                                         "maxProperties", "dependentRequired",
                                         "dependencies",  "dependentSchemas",
                                         "$dynamicRef",   "unevaluatedProperties",
                                         "$recursiveRef", "unevaluatedItems"};

bool is_in(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// Said, but so that everything fits.
bool says_nothing(std::string_view keyword, const json::value& value) {
  if (keyword == "uniqueItems") return value.is_bool() && !value.get_bool();
  if (keyword == "unevaluatedProperties" || keyword == "unevaluatedItems") {
    return value.is_bool() && value.get_bool();
  }
  if (keyword == "minProperties") return value.is_int64() && value.get_int64() == 0;
  return false;
}

void write(const json::value& value, std::string& out) {
  bool first = true;
  const auto separate = [&] { out += std::exchange(first, false) ? "" : ","; };
  if (const auto* list = value.if_array()) {
    out += '[';
    for (const json::value& item : *list) {
      separate();
      write(item, out);
    }
    out += ']';
  } else if (const auto* object = value.if_object()) {
    out += '{';
    for (const auto& [key, member] : *object) {
      separate();
      out += written_text(key) + ":";
      write(member, out);
    }
    out += '}';
  } else if (const auto* number = value.if_double()) {
    std::array<char, 400> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), *number).ptr;
    out.append(text.data(), end);
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

bool is_finite(const json::value& value) {
  if (const auto* number = value.if_double()) return std::isfinite(*number);
  if (const auto* list = value.if_array()) return std::ranges::all_of(*list, is_finite);
  const auto* object = value.if_object();
  return object == nullptr ||
         std::ranges::all_of(*object, [](const auto& member) { return is_finite(member.value()); });
}

Place under(const Place& place, std::string_view key) {
  constexpr std::size_t kMostShown = 200;
  if (place.size() > kMostShown) return place;
  Place longer = place + "/";
  for (const char c : key.substr(0, kMostShown))
    longer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return longer;
}

tl::unexpected<Error> no_schema(const Place& place, std::string what) {
  return fail(Errc::kCorrupt, std::move(what), place, "see json-schema.org");
}

tl::unexpected<Error> not_read(const Place& place, std::string what, std::string remedy) {
  return fail(Errc::kUnsupported, std::move(what), place, std::move(remedy));
}

Result<void> check_keywords(const json::object& schema, const Place& place) {
  for (const auto& [key, value] : schema) {
    if (!is_in(kNotRead, key) || says_nothing(key, value)) continue;
    return not_read(place, "the keyword \"" + std::string(key) + "\" is not read",
                    "leave it out and check the answer for it");
  }
  return {};
}

bool is_constraint(std::string_view keyword) { return is_in(kConstraints, keyword); }

bool says_something(const json::object& schema, std::initializer_list<std::string_view> besides) {
  return std::ranges::any_of(schema, [&](const auto& member) {
    return is_constraint(member.key()) && !is_in({besides.begin(), besides.size()}, member.key());
  });
}

Result<std::optional<std::uint64_t>> count_of(const json::object& schema, std::string_view keyword,
                                              const Place& place) {
  const json::value* value = schema.if_contains(keyword);
  if (value == nullptr) return std::nullopt;
  boost::system::error_code error;
  const auto count = value->to_number<std::uint64_t>(error);
  if (error) return no_schema(place, "\"" + std::string(keyword) + "\" must be a whole number");
  return count;
}

std::string written_text(std::string_view text) { return json::serialize(json::string(text)); }

std::string written(const json::value& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace skein::grammar
