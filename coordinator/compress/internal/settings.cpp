#include "coordinator/compress/internal/settings.h"

#include <array>
#include <set>

namespace skein {
namespace {

constexpr std::size_t kMostQuoted = 64;  // characters of a wrong word that a message repeats

Result<void> set_format(PressSettings& settings, std::string_view value) {
  for (const auto& [name, precision] : {std::pair{"q8", Precision::kQ8},
                                        {"q6", Precision::kQ6},
                                        {"q5", Precision::kQ5},
                                        {"q4", Precision::kQ4}}) {
    if (value != name) continue;
    settings.format = precision;
    return {};
  }
  return fail(Errc::kUsage,
              "'" + std::string(value.substr(0, kMostQuoted)) + "' is not a quantized format",
              "--set quantize.format", "use q8, q6, q5 or q4");
}

struct Known {
  std::string_view name;
  Result<void> (*set)(PressSettings&, std::string_view);
};
constexpr std::array kKnown = {Known{"quantize.format", set_format}};

Result<void> apply(PressSettings& settings, std::string_view name, std::string_view value) {
  std::string names;
  for (const Known& known : kKnown) {
    if (known.name == name) return known.set(settings, value);
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return fail(Errc::kUsage,
              "there is no setting '" + std::string(name.substr(0, kMostQuoted)) + "'", "--set",
              "the settings are " + names);
}

}  // namespace

Result<PressSettings> parse_settings(std::span<const std::string> given) {
  PressSettings settings;
  std::set<std::string_view> seen;
  for (const std::string_view text : given) {
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const std::size_t dot = name.find('.');
    const bool whole = equals != std::string_view::npos && equals + 1 < text.size() &&
                       dot != std::string_view::npos && dot != 0 && dot + 1 < name.size();
    if (!whole) {
      return fail(Errc::kUsage,
                  "'" + std::string(text.substr(0, kMostQuoted)) + "' is not a setting", "--set",
                  "write technique.key=value, for example quantize.format=q6");
    }
    TRY_VOID(apply(settings, name, text.substr(equals + 1)));
    if (!seen.insert(name).second) {
      return fail(Errc::kUsage, std::string(name) + " is set twice", "--set", "set it once");
    }
  }
  return settings;
}

}  // namespace skein
