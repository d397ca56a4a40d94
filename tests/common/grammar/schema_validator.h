// Whether a JSON value fits a schema: a validator of its own, for what the tests' schemas use. For
// tests; one thread.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <regex>
#include <string>

#include "common/base/utf8.h"

namespace skein::test {

namespace json = boost::json;

class SchemaValidator {
 public:
  explicit SchemaValidator(const json::value& root) : root_(root) {}

  bool fits(const json::value& value) const { return fits(value, root_); }

 private:
  bool fits(const json::value& value, const json::value& schema) const {
    if (schema.is_bool()) return schema.get_bool();
    return std::ranges::all_of(schema.get_object(), [&](const auto& keyword) {
      return keyword_fits(value, keyword.key(), keyword.value(), schema.get_object());
    });
  }

  bool any_fits(const json::value& value, const json::value& schemas) const {
    return std::ranges::any_of(schemas.get_array(),
                               [&](const json::value& each) { return fits(value, each); });
  }

  static bool is_type(const json::value& value, std::string_view type) {
    if (type == "integer") return value.is_number() && std::floor(number(value)) == number(value);
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "boolean") return value.is_bool();
    return value.is_null();
  }
  static double number(const json::value& value) { return value.to_number<double>(); }
  static std::size_t count(const json::value& value) { return value.to_number<std::size_t>(); }
  static std::size_t characters(std::string_view text) {
    std::size_t count = 0;
    for (; !text.empty(); ++count) text.remove_prefix(first_character(text).length);
    return count;
  }

  bool keyword_fits(const json::value& value, std::string_view key, const json::value& wanted,
                    const json::object& schema) const {
    if (key == "$ref") {
      boost::system::error_code error;
      const std::string_view to = wanted.get_string();
      return fits(value, to == "#" ? root_ : *root_.find_pointer(to.substr(1), error));
    }
    if (key == "allOf") {
      return std::ranges::all_of(wanted.get_array(),
                                 [&](const json::value& each) { return fits(value, each); });
    }
    if (key == "anyOf" || key == "oneOf") return any_fits(value, wanted);
    if (key == "const") return value == wanted;
    if (key == "enum")
      return std::ranges::find(wanted.get_array(), value) != wanted.get_array().end();
    if (key == "type") {
      if (wanted.is_string()) return is_type(value, wanted.get_string());
      return std::ranges::any_of(wanted.get_array(), [&](const json::value& type) {
        return is_type(value, type.get_string());
      });
    }
    if (value.is_number()) return number_fits(number(value), key, wanted);
    if (value.is_string()) return text_fits(std::string(value.get_string()), key, wanted);
    if (value.is_array()) return list_fits(value.get_array(), key, wanted, schema);
    if (value.is_object()) return object_fits(value.get_object(), key, wanted, schema);
    return true;
  }

  static bool number_fits(double value, std::string_view key, const json::value& wanted) {
    if (key == "minimum") return value >= number(wanted);
    if (key == "maximum") return value <= number(wanted);
    if (key == "exclusiveMinimum") return value > number(wanted);
    if (key == "exclusiveMaximum") return value < number(wanted);
    return true;
  }

  static bool text_fits(const std::string& text, std::string_view key, const json::value& wanted) {
    if (key == "minLength") return characters(text) >= count(wanted);
    if (key == "maxLength") return characters(text) <= count(wanted);
    if (key == "pattern") {
      return std::regex_search(text, std::regex(std::string(wanted.get_string())));
    }
    if (key == "format" && wanted.get_string() == "date") {
      return std::regex_match(text, std::regex("\\d{4}-\\d\\d-\\d\\d"));
    }
    return true;
  }

  bool list_fits(const json::array& list, std::string_view key, const json::value& wanted,
                 const json::object& schema) const {
    if (key == "minItems") return list.size() >= count(wanted);
    if (key == "maxItems") return list.size() <= count(wanted);
    const std::size_t firsts =
        schema.contains("prefixItems") ? schema.at("prefixItems").get_array().size() : 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (key == "prefixItems" && i < firsts && !fits(list[i], wanted.get_array()[i])) return false;
      if (key == "items" && i >= firsts && !fits(list[i], wanted)) return false;
    }
    return true;
  }

  bool object_fits(const json::object& object, std::string_view key, const json::value& wanted,
                   const json::object& schema) const {
    if (key == "required") {
      return std::ranges::all_of(wanted.get_array(), [&](const json::value& name) {
        return object.contains(name.get_string());
      });
    }
    const json::object none;
    const json::object& named =
        schema.contains("properties") ? schema.at("properties").get_object() : none;
    for (const auto& [name, member] : object) {
      const bool is_named = named.contains(name);
      if (key == "properties" && is_named && !fits(member, wanted.at(name))) return false;
      if (key == "additionalProperties" && !is_named && !fits(member, wanted)) return false;
    }
    return true;
  }

  const json::value& root_;
};

}  // namespace skein::test
