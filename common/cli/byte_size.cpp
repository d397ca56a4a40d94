#include "common/cli/byte_size.h"

#include <charconv>
#include <optional>

namespace skein {

namespace {

constexpr std::size_t kMostQuoted = 32;
constexpr std::size_t kMostDecimals = 15;  // a fraction of them is told exactly

char upper(char letter) {
  return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
}

// The power of two that a unit stands for.
std::optional<unsigned> shift_of(std::string_view unit) {
  constexpr std::string_view kPrefixes = "KMGT";
  unsigned shift = 0;
  if (!unit.empty()) {
    const std::size_t prefix = kPrefixes.find(upper(unit.front()));
    if (prefix != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(prefix) + 1);
      unit.remove_prefix(1);
      if (unit.size() == 2 && unit.front() == 'i') unit.remove_prefix(1);
    }
  }
  if (unit.empty() || (unit.size() == 1 && upper(unit.front()) == 'B')) return shift;
  return std::nullopt;
}

bool only_digits(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Of a number between 0 and 1, told by its decimals, of `unit`.
std::uint64_t part_of(std::string_view decimals, double unit) {
  std::uint64_t digits = 0;
  double scale = 1;
  for (const char digit : decimals) {
    digits = digits * 10 + static_cast<std::uint64_t>(digit - '0');
    scale *= 10;
  }
  return static_cast<std::uint64_t>(static_cast<double>(digits) / scale * unit);
}

}  // namespace

Result<std::uint64_t> parse_byte_size(std::string_view text, std::string where) {
  const auto refuse = [&](std::string_view what) {
    return fail(Errc::kUsage,
                "'" + std::string(text.substr(0, kMostQuoted)) + "' is " + std::string(what),
                std::move(where), "write bytes, or a number with K, M or G, like 300M or 1.5G");
  };
  const std::size_t number = std::min(text.size(), text.find_first_not_of("0123456789."));
  const std::string_view digits = text.substr(0, number);
  const std::optional<unsigned> shift = shift_of(text.substr(number));
  const std::size_t dot = std::min(digits.size(), digits.find('.'));
  const std::string_view whole = digits.substr(0, dot);
  const std::string_view decimals = digits.substr(std::min(digits.size(), dot + 1));
  const bool dotted = dot < digits.size();
  if (!shift || whole.empty() || dotted == decimals.empty() || !only_digits(decimals) ||
      decimals.size() > kMostDecimals) {
    return refuse("not a size");
  }
  std::uint64_t units = 0;
  const auto read = std::from_chars(whole.data(), whole.data() + whole.size(), units);
  if (read.ec != std::errc{} || units >= kMostByteSize >> *shift) {
    return refuse("more than can be");
  }
  const auto unit = static_cast<double>(std::uint64_t{1} << *shift);
  const std::uint64_t bytes = (units << *shift) + part_of(decimals, unit);
  if (bytes == 0) return refuse("less than a byte");
  return bytes;
}

}  // namespace skein
