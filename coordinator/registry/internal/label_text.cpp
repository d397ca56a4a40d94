#include "coordinator/registry/internal/label_text.h"

#include <boost/json.hpp>

namespace skein::registry {

namespace json = boost::json;

namespace {

tl::unexpected<Error> broken() {
  return fail(Errc::kCorrupt, "a stored label column is not what was written");
}

Result<json::value> parsed(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return broken();
  return value;
}

std::string text_of(const json::value& value) {
  const json::string& text = value.as_string();
  return {text.data(), text.size()};
}

}  // namespace

std::string to_text(const Labels& labels) {
  json::object object;
  for (const auto& [key, value] : labels) object[key] = value;
  return json::serialize(object);
}

std::string to_text(const ReportedLabels& labels) {
  json::array list;
  for (const auto& [key, value] : labels) list.push_back(json::array{key, value});
  return json::serialize(list);
}

Result<Labels> labels_of(std::string_view text) {
  TRY(const json::value value, parsed(text));
  if (!value.is_object()) return broken();
  Labels labels;
  for (const auto& [key, item] : value.get_object()) {
    if (!item.is_string()) return broken();
    labels.emplace(std::string(key.data(), key.size()), text_of(item));
  }
  return labels;
}

Result<ReportedLabels> reported_labels_of(std::string_view text) {
  TRY(const json::value value, parsed(text));
  if (!value.is_array()) return broken();
  ReportedLabels labels;
  for (const json::value& item : value.get_array()) {
    const bool pair = item.is_array() && item.get_array().size() == 2 &&
                      item.get_array()[0].is_string() && item.get_array()[1].is_string();
    if (!pair) return broken();
    labels.emplace_back(text_of(item.get_array()[0]), text_of(item.get_array()[1]));
  }
  return labels;
}

}  // namespace skein::registry
