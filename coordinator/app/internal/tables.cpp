#include "coordinator/app/internal/tables.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iomanip>
#include <sstream>

namespace skein::admin {

namespace json = boost::json;

namespace {

constexpr std::size_t kDigestDigits = 64;
constexpr std::size_t kShortDigits = 12;
constexpr std::size_t kGap = 2;

bool is_time(std::string_view field) {
  constexpr std::array<std::string_view, 9> kTimes = {"enrolled", "last_seen", "created",
                                                      "started",  "changed",   "imported",
                                                      "opened",   "deadline",  "expires"};
  return std::ranges::find(kTimes, field) != kTimes.end();
}

std::string time_text(std::int64_t seconds) {
  if (seconds <= 0) return "-";
  const std::chrono::sys_seconds when{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(when - day);
  std::ostringstream out;
  out << std::setfill('0') << static_cast<int>(date.year()) << '-' << std::setw(2)
      << static_cast<unsigned>(date.month()) << '-' << std::setw(2)
      << static_cast<unsigned>(date.day()) << ' ' << std::setw(2) << time.hours().count() << ':'
      << std::setw(2) << time.minutes().count() << ':' << std::setw(2) << time.seconds().count();
  return out.str();
}

// Fields whose value is not zero: {"committed":3,"failed":0} is "committed 3".
std::string object_text(const json::object& object) {
  std::string text;
  for (const auto& [name, value] : object) {
    if (value.is_number() && value.to_number<double>() == 0) continue;
    if (!text.empty()) text += ", ";
    text += std::string(name) + (value.is_number() ? " " : "=") + cell_of(name, value);
  }
  return text.empty() ? "-" : text;
}

bool is_rows(const json::value& value) {
  return value.is_array() && !value.get_array().empty() && value.get_array()[0].is_object();
}

std::string list_text(const json::array& list) {
  std::string text;
  for (const json::value& item : list) text += (text.empty() ? "" : ", ") + cell_of("", item);
  return text.empty() ? "-" : text;
}

void add_row(std::string& out, const std::vector<std::string>& cells,
             const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] + kGap - cells[i].size(), ' ');
  }
  out += line + "\n";
}

}  // namespace

std::string cell_of(std::string_view field, const json::value& value) {
  if (value.is_null()) return "-";
  if (value.is_bool()) return value.get_bool() ? "yes" : "no";
  if (value.is_object()) return object_text(value.get_object());
  if (value.is_array()) return list_text(value.get_array());
  if (value.is_string()) {
    const std::string text(value.get_string().data(), value.get_string().size());
    if (text.size() == kDigestDigits) return text.substr(0, kShortDigits);
    return text.empty() ? "-" : text;
  }
  if (is_time(field) && value.is_number()) return time_text(value.to_number<std::int64_t>());
  if (!value.is_double()) return json::serialize(value);
  std::ostringstream out;
  out << std::setprecision(6) << value.get_double();
  return out.str();
}

std::string table_of(const json::array& rows, const std::vector<std::string>& columns) {
  std::vector<std::vector<std::string>> cells(1);
  for (std::string head : columns) {
    std::ranges::transform(head, head.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    cells[0].push_back(std::move(head));
  }
  for (const json::value& row : rows) {
    std::vector<std::string>& line = cells.emplace_back();
    for (const std::string& column : columns) {
      const json::value* value = row.is_object() ? row.get_object().if_contains(column) : nullptr;
      line.push_back(value == nullptr ? "-" : cell_of(column, *value));
    }
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& line : cells) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const auto& line : cells) add_row(out, line, widths);
  return out;
}

std::string lines_of(const json::object& object) {
  std::size_t width = 0;
  for (const auto& [name, value] : object) width = std::max(width, name.size());
  std::string out;
  std::string below;
  for (const auto& [name, value] : object) {
    if (is_rows(value)) {
      std::vector<std::string> columns;
      for (const auto& [column, first] : value.get_array()[0].get_object())
        columns.emplace_back(column);
      below += "\n" + std::string(name) + "\n" + table_of(value.get_array(), columns);
    } else {
      add_row(out, {std::string(name), cell_of(name, value)}, {width, 0});
    }
  }
  return out + below;
}

}  // namespace skein::admin
