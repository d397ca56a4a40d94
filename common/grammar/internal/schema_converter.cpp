#include "common/grammar/internal/schema_converter.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/grammar/internal/gbnf_parser.h"
#include "common/grammar/internal/json_rules.h"
#include "common/grammar/internal/state_table.h"
#include "common/grammar/json_schema.h"

namespace skein {
namespace grammar {
namespace {

// How many schemas within each other are converted, $ref written out.
constexpr std::size_t kMostWithin = 128;

constexpr std::string_view kTypes[] = {"string", "number",  "integer", "object",
                                       "array",  "boolean", "null"};

// Keywords that speak of one type: where "type" is absent, it is meant.
constexpr std::pair<std::string_view, std::string_view> kImplied[] = {
    {"properties", "object"}, {"required", "object"},         {"additionalProperties", "object"},
    {"items", "array"},       {"prefixItems", "array"},       {"additionalItems", "array"},
    {"minItems", "array"},    {"maxItems", "array"},          {"minLength", "string"},
    {"maxLength", "string"},  {"pattern", "string"},          {"minimum", "number"},
    {"maximum", "number"},    {"exclusiveMinimum", "number"}, {"exclusiveMaximum", "number"}};

bool is_of_type(const json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  boost::system::error_code error;
  if (value.is_number()) value.to_number<std::int64_t>(error);
  return value.is_number() && !error;
}

json::object without(const json::object& schema, std::string_view keyword) {
  json::object rest = schema;
  rest.erase(keyword);
  return rest;
}

}  // namespace

Result<Grammar> SchemaConverter::run() {
  auto rules = parse_gbnf(kJsonRules);
  CHECK(rules.has_value());
  rules_ = std::move(*rules);
  TRY(const Expression root, rule_for("#", "#"));
  while (!referred_.empty()) {
    const Referred next = std::move(referred_.back());
    referred_.pop_back();
    TRY(Expression body, convert(*next.schema, next.place, 0));
    rules_.rules[next.rule].body = std::move(body);
    rules_.rules[next.rule].defined = true;
  }
  auto made = make_grammar(rules_, root.rule);
  if (!made) {
    made.error().where = "JSON schema";
    made.error().remedy = "change what it refers to, or ask for less in one schema";
  }
  return made;
}

Expression SchemaConverter::json(std::string_view rule) const {
  return rule_of(rules_.by_name.at("json-" + std::string(rule)));
}

Expression SchemaConverter::as_rule(const Place& place, Expression body) {
  if (body.kind == Expression::Kind::kRule) return body;
  const std::string name =
      "at " + place + " " + std::to_string(made_++);  // references begin with #
  return rule_of(rules_.add(name, std::move(body)));
}

Result<Expression> SchemaConverter::rule_for(std::string_view reference, const Place& place) {
  if (const auto known = rules_.by_name.find(std::string(reference));
      known != rules_.by_name.end()) {
    return rule_of(known->second);
  }
  TRY(const json::value* target, merger_.target_of(reference, place));
  const std::uint32_t rule = rules_.number_of(reference);
  referred_.push_back({rule, target, Place(reference)});
  return rule_of(rule);
}

Result<Expression> SchemaConverter::convert(const json::value& schema, const Place& place,
                                            std::size_t depth) {
  if (depth > kMostWithin) {
    return not_read(place,
                    "more than " + std::to_string(kMostWithin) + " schemas within each other",
                    "let $ref stand alone where a schema refers to itself");
  }
  TRY_VOID(merger_.spend(1, place));
  if (schema.is_bool() && schema.get_bool()) return json("value");
  const auto* object = schema.if_object();
  if (object == nullptr) {
    return no_schema(place, schema.is_bool() ? "nothing fits this" : "a schema is an object");
  }
  TRY_VOID(check_keywords(*object, place));
  const json::value* reference = object->if_contains("$ref");
  if (reference != nullptr && reference->is_string() && !says_something(*object, {"$ref"})) {
    return rule_for(reference->get_string(), place);
  }
  const json::value* all = object->if_contains("allOf");
  const bool one_of_all = all != nullptr && all->is_array() && all->get_array().size() == 1;
  if (one_of_all && !says_something(*object, {"allOf"})) {
    return convert(all->get_array().front(), under(under(place, "allOf"), "0"), depth + 1);
  }
  if (reference == nullptr && all == nullptr) return convert_flat(*object, place, depth);
  TRY(const Object flat, merger_.flattened(schema, place));
  return convert_flat(flat, place, depth);
}

Result<Expression> SchemaConverter::convert_flat(const Object& schema, const Place& place,
                                                 std::size_t depth) {
  const json::value* nullable = schema.if_contains("nullable");
  if (nullable != nullptr && !nullable->is_bool()) {
    return no_schema(place, "\"nullable\" must be true or false");
  }
  if (nullable != nullptr) {
    TRY(Expression other, convert_flat(without(schema, "nullable"), place, depth));
    if (!nullable->get_bool()) return other;
    return choice_of({std::move(other), text_of("null")});
  }
  const bool any = schema.contains("anyOf");
  if (any && schema.contains("oneOf")) {
    return not_read(place, "\"anyOf\" beside \"oneOf\" is not read", "use one of them");
  }
  if (any) return convert_choice(schema, "anyOf", place, depth);
  if (schema.contains("oneOf")) return convert_choice(schema, "oneOf", place, depth);
  if (schema.contains("const") || schema.contains("enum")) return convert_values(schema, place);
  TRY(const std::vector<std::string> types, types_of(schema, place));
  if (types.empty()) return json("value");
  std::vector<Expression> choices;
  for (const std::string& type : types) {
    TRY(Expression one, convert_type(type, schema, place, depth));
    choices.push_back(std::move(one));
  }
  return choice_of(std::move(choices));
}

Result<Expression> SchemaConverter::convert_choice(const Object& schema, std::string_view keyword,
                                                   const Place& place, std::size_t depth) {
  const json::value& list = schema.at(keyword);
  if (!list.is_array() || list.get_array().empty()) {
    return no_schema(place, "\"" + std::string(keyword) + "\" must be a list of schemas");
  }
  const bool alone = !says_something(schema, {keyword});
  const Object rest = alone ? Object{} : without(schema, keyword);
  std::vector<Expression> choices;
  for (std::size_t i = 0; i < list.get_array().size(); ++i) {
    const json::value& each = list.get_array()[i];
    const Place where = under(under(place, keyword), std::to_string(i));
    if (each.is_bool() && !each.get_bool()) continue;
    if (alone) {
      TRY(Expression one, convert(each, where, depth + 1));
      choices.push_back(std::move(one));
      continue;
    }
    TRY(const Object flat, merger_.flattened(each, where));
    TRY(Object joined, merger_.merged(rest, flat, where));
    TRY(Expression one, convert(joined, where, depth + 1));
    choices.push_back(std::move(one));
  }
  if (choices.empty()) return no_schema(place, "nothing fits this");
  return choice_of(std::move(choices));
}

// "const" and "enum", less what is not of the "type".
Result<Expression> SchemaConverter::convert_values(const Object& schema, const Place& place) {
  if (says_something(schema, {"const", "enum", "type"})) {
    return not_read(place, "more than \"type\" beside \"enum\" or \"const\" is not read",
                    "list only the values that fit");
  }
  const json::value* single = schema.if_contains("const");
  const json::value* list = schema.if_contains("enum");
  if (list != nullptr && !list->is_array()) return no_schema(place, "\"enum\" must be a list");
  TRY(const std::vector<std::string> types, types_of(schema, place));
  std::vector<Expression> choices;
  bool finite = true;
  const auto add = [&](const json::value& value) {
    finite = finite && is_finite(value);
    const auto fits = [&](const std::string& type) { return is_of_type(value, type); };
    if (types.empty() || std::ranges::any_of(types, fits))
      choices.push_back(text_of(written(value)));
  };
  if (list != nullptr) {
    for (const json::value& value : list->get_array()) {
      if (single == nullptr || value == *single) add(value);
    }
  } else {
    add(*single);
  }
  if (!finite) return no_schema(place, "a number of \"enum\" or \"const\" is too large");
  if (choices.empty()) return no_schema(place, "no value fits this");
  return choice_of(std::move(choices));
}

// What "type" names; without it, the types whose keywords stand here; none: any.
Result<std::vector<std::string>> SchemaConverter::types_of(const Object& schema,
                                                           const Place& place) const {
  std::vector<std::string> types;
  if (const json::value* type = schema.if_contains("type")) {
    const json::array list = type->is_array() ? type->get_array() : json::array{*type};
    for (const json::value& each : list) {
      if (!each.is_string() || std::ranges::find(kTypes, each.get_string()) == std::end(kTypes)) {
        return no_schema(place,
                         "\"type\" must be string, number, integer, object, array, boolean "
                         "or null, or a list of those");
      }
      const bool integer_too = each == "integer" && std::ranges::find(list, "number") != list.end();
      if (!integer_too) types.emplace_back(each.get_string());
    }
    if (types.empty()) return no_schema(place, "\"type\" is an empty list");
    return types;
  }
  const json::value* format = schema.if_contains("format");
  const bool formatted = format != nullptr && format->is_string() &&
                         rules_.by_name.contains("format-" + std::string(format->get_string()));
  if (formatted) types.emplace_back("string");
  for (const auto& [keyword, type] : kImplied) {
    const bool is_new = std::ranges::find(types, type) == types.end();
    if (schema.contains(keyword) && is_new) types.emplace_back(type);
  }
  return types;
}

Result<Expression> SchemaConverter::convert_type(std::string_view type, const Object& schema,
                                                 const Place& place, std::size_t depth) {
  if (type == "string") return convert_string(schema, place);
  if (type == "number") return convert_number(schema, false, place);
  if (type == "integer") return convert_number(schema, true, place);
  if (type == "object") return convert_object(schema, place, depth);
  if (type == "array") return convert_array(schema, place, depth);
  if (type == "boolean") return json("boolean");
  return text_of("null");
}

}  // namespace grammar

Result<Grammar> grammar_of_schema(std::string_view text) {
  if (text.size() > kMaxSchemaBytes) {
    return fail(Errc::kUnsupported,
                "the schema has " + std::to_string(text.size()) + " bytes, more than " +
                    std::to_string(kMaxSchemaBytes),
                "JSON schema", "write a smaller one");
  }
  boost::json::parse_options options;
  options.max_depth = kMaxSchemaDepth;
  boost::system::error_code error;
  const boost::json::value schema = boost::json::parse(text, error, {}, options);
  if (error) {
    const bool too_deep = error == boost::json::error::too_deep;
    return fail(too_deep ? Errc::kUnsupported : Errc::kCorrupt,
                too_deep ? "the schema is nested deeper than " + std::to_string(kMaxSchemaDepth)
                         : "the schema is not JSON: " + error.message(),
                "JSON schema", too_deep ? "use $defs and $ref" : "see json.org");
  }
  return grammar::SchemaConverter(schema).run();
}

Result<Grammar> grammar_of_any_object() { return grammar_of_schema(R"({"type":"object"})"); }

}  // namespace skein
