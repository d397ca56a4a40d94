// Words and numbers of /proc and /sys. Pure; what does not parse is nothing.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace skein::pressure {

// Cuts the first line off `rest`, without its end.
inline std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return line;
}

// Cuts the first word off `rest`; empty when there is none.
inline std::string_view next_word(std::string_view& rest) {
  const std::size_t begin = rest.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return rest = {};
  rest.remove_prefix(begin);
  const std::string_view word = rest.substr(0, rest.find_first_of(" \t\n"));
  rest.remove_prefix(word.size());
  return word;
}

template <class N>
std::optional<N> number(std::string_view word) {
  N value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// A file that is one number.
template <class N>
std::optional<N> only_number(std::string_view text) {
  const auto value = number<N>(next_word(text));
  if (!next_word(text).empty()) return std::nullopt;
  return value;
}

// The number after `key` in lines of "key number ...".
inline std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (next_word(line) == key) return number<std::uint64_t>(next_word(line));
  }
  return std::nullopt;
}

}  // namespace skein::pressure
