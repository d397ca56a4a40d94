#include "common/grammar/internal/schema_merger.h"

#include <algorithm>

#include "common/grammar/json_schema.h"

namespace skein::grammar {
namespace {

// Values, and long texts as several.
constexpr std::size_t kTextOfValue = 32;

std::uint64_t size_of(const json::value& value);
std::uint64_t size_of(const json::object& object) {
  std::uint64_t size = 1;
  for (const auto& [key, member] : object) size += key.size() / kTextOfValue + size_of(member);
  return size;
}
std::uint64_t size_of(const json::value& value) {
  if (const auto* object = value.if_object()) return size_of(*object);
  std::uint64_t size = 1;
  if (const auto* text = value.if_string()) size += text->size() / kTextOfValue;
  if (const auto* list = value.if_array()) {
    for (const json::value& item : *list) size += size_of(item);
  }
  return size;
}

json::array as_list(const json::value& value) {
  if (const auto* list = value.if_array()) return *list;
  return {value};
}

json::value both(const json::value& a, const json::value& b) {
  const auto fits_all = [](const json::value& schema) {
    return schema.is_bool() && schema.get_bool();
  };
  const auto fits_none = [](const json::value& schema) {
    return schema.is_bool() && !schema.get_bool();
  };
  if (fits_all(a) || a == b || fits_none(b)) return b;
  if (fits_all(b) || fits_none(a)) return a;
  return json::object{{"allOf", json::array{a, b}}};
}

json::array types_of_both(const json::value& a, const json::value& b) {
  json::array types;
  const auto add = [&types](const json::value& type) {
    if (std::ranges::find(types, type) == types.end()) types.push_back(type);
  };
  for (const json::value& x : as_list(a)) {
    for (const json::value& y : as_list(b)) {
      if (x == y || (x == "integer" && y == "number")) add(x);
      if (x == "number" && y == "integer") add(y);
    }
  }
  return types;
}

// nullptr: everything fits a property of this name; a schema that is false: nothing does.
const json::value* schema_of(const json::object& object, std::string_view name) {
  if (const json::value* properties = object.if_contains("properties")) {
    const auto* own = properties->if_object();
    if (own != nullptr && own->contains(name)) return &own->at(name);
  }
  return object.if_contains("additionalProperties");
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

Result<void> SchemaMerger::spend(std::uint64_t work, const Place& place) {
  spent_ += work;
  if (spent_ <= kMaxSchemaWork) return {};
  return not_read(place,
                  "the schema has more than " + std::to_string(kMaxSchemaWork) +
                      " values with its $ref, allOf and anyOf written out",
                  "let $ref stand alone where a schema refers to itself");
}

Result<const json::value*> SchemaMerger::target_of(std::string_view reference,
                                                   const Place& place) const {
  if (reference == "#") return &root_;
  const std::string named = "\"$ref\" to " + written_text(reference);
  if (!reference.starts_with("#/")) {
    return not_read(place, named + " is not read", "refer to this schema: \"#/$defs/...\"");
  }
  boost::system::error_code error;
  const json::value* found = root_.find_pointer(reference.substr(1), error);
  if (found == nullptr) return no_schema(place, named + " leads nowhere");
  return found;
}

Result<json::object> SchemaMerger::flattened(const json::value& schema, const Place& place,
                                             std::size_t depth) {
  if (depth > kMaxSchemaDepth) {
    return not_read(place, "\"$ref\" and \"allOf\" lead to each other without end",
                    "take the circle out");
  }
  TRY_VOID(spend(1, place));
  if (schema.is_bool() && schema.get_bool()) return json::object{};
  const auto* object = schema.if_object();
  if (object == nullptr) return no_schema(place, "nothing fits this");
  TRY_VOID(check_keywords(*object, place));
  json::object flat;
  // In the order in which they stand: so stand the properties in the answer.
  for (const auto& [key, value] : *object) {
    std::vector<std::pair<const json::value*, Place>> others;
    if (key == "$ref") {
      if (!value.is_string()) return no_schema(place, "\"$ref\" must be a text");
      TRY(const json::value* target, target_of(value.get_string(), place));
      others.emplace_back(target, std::string(value.get_string()));
    } else if (key == "allOf") {
      if (!value.is_array()) return no_schema(place, "\"allOf\" must be a list of schemas");
      for (const json::value& each : value.get_array()) {
        others.emplace_back(&each, under(under(place, "allOf"), std::to_string(others.size())));
      }
    } else if (key == "properties") {
      json::object own{{key, value}};
      // Belongs to the same object: what else may be there is told apart by both together.
      if (const auto* rest = object->if_contains("additionalProperties")) {
        own["additionalProperties"] = *rest;
      }
      TRY(flat, merged(std::move(flat), own, place));
    } else if (is_constraint(key)) {
      const bool taken = key == "additionalProperties" && object->contains("properties");
      if (taken) continue;
      TRY(flat, merged(std::move(flat), json::object{{key, value}}, place));
    }
    for (const auto& [other, where] : others) {
      TRY(const json::object more, flattened(*other, where, depth + 1));
      TRY(flat, merged(std::move(flat), more, place));
    }
  }
  return flat;
}

Result<json::object> SchemaMerger::merged(json::object a, const json::object& b,
                                          const Place& place) {
  TRY_VOID(spend(size_of(a) + size_of(b), place));
  TRY_VOID(merge_properties(a, b, place));
  for (const auto& [key, value] : b) {
    if (key == "properties" || key == "additionalProperties") continue;
    TRY_VOID(merge_keyword(a, key, value, place));
  }
  return a;
}

// A property fits when it fits what both say of it, be it by name or of all further ones.
Result<void> SchemaMerger::merge_properties(json::object& a, const json::object& b,
                                            const Place& place) {
  json::object names;
  const json::object* const sides[] = {&a, &b};
  for (const json::object* each : sides) {
    const json::value* properties = each->if_contains("properties");
    if (properties == nullptr) continue;
    if (!properties->is_object()) return no_schema(place, "\"properties\" must be an object");
    for (const auto& member : properties->get_object()) names[member.key()] = nullptr;
  }
  for (auto& [name, schema] : names) {
    const json::value* own = schema_of(a, name);
    const json::value* other = schema_of(b, name);
    schema = both(own == nullptr ? json::value(true) : *own,
                  other == nullptr ? json::value(true) : *other);
  }
  if (!names.empty()) a["properties"] = std::move(names);
  if (const json::value* rest = b.if_contains("additionalProperties")) {
    const json::value* own = a.if_contains("additionalProperties");
    const json::value joined = own == nullptr ? *rest : both(*own, *rest);
    a["additionalProperties"] = joined;
  }
  return {};
}

Result<void> SchemaMerger::merge_keyword(json::object& a, std::string_view key,
                                         const json::value& b, const Place& place) {
  json::value* own = a.if_contains(key);
  if (own == nullptr) {
    a[key] = b;
    return {};
  }
  if (*own == b) return {};
  const bool lower = is_one_of(key, {"minLength", "minItems", "minimum", "exclusiveMinimum"});
  const bool upper = is_one_of(key, {"maxLength", "maxItems", "maximum", "exclusiveMaximum"});
  if ((lower || upper) && own->is_number() && b.is_number()) {
    const auto own_value = own->to_number<double>();
    const auto other_value = b.to_number<double>();
    if (lower == (other_value > own_value)) *own = b;
    return {};
  }
  if (key == "type") {
    json::array types = types_of_both(*own, b);
    if (types.empty()) return no_schema(place, "no type fits both of what is joined here");
    *own = std::move(types);
    return {};
  }
  if (key == "required" && own->is_array() && b.is_array()) {
    for (const json::value& name : b.get_array()) own->get_array().push_back(name);
    return {};
  }
  if (key == "enum" && own->is_array() && b.is_array()) {
    json::array shared;
    for (const json::value& value : own->get_array()) {
      if (std::ranges::find(b.get_array(), value) != b.get_array().end()) shared.push_back(value);
    }
    *own = std::move(shared);
    return {};
  }
  if (key == "items") {
    *own = both(*own, b);
    return {};
  }
  return not_read(place,
                  "\"" + std::string(key) + "\" of two schemas that must both fit is not read",
                  "write it once");
}

}  // namespace skein::grammar
