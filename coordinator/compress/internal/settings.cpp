#include "coordinator/compress/internal/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace skein {
namespace {

constexpr double kMostCett = 0.5;
constexpr std::size_t kMostQuoted = 64;  // characters of a wrong word that a message repeats

tl::unexpected<Error> not_a(std::string_view what, std::string_view value, std::string_view setting,
                            std::string_view remedy) {
  return fail(Errc::kUsage,
              "'" + std::string(value.substr(0, kMostQuoted)) + "' is not " + std::string(what),
              "--set " + std::string(setting), std::string(remedy));
}

Result<void> set_format(PressSettings& settings, std::string_view value) {
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4}) {
    if (value != name_of(format)) continue;
    settings.format = format;
    return {};
  }
  return not_a("a quantized format", value, "quantize.format", "use q8, q6, q5 or q4");
}

Result<void> set_method(PressSettings& settings, std::string_view value) {
  if (value == "nearest") settings.rounding = CompressionPlan::Rounding::kNearest;
  if (value == "gptq") settings.rounding = CompressionPlan::Rounding::kErrorFeedback;
  if (settings.rounding) return {};
  return not_a("a way of rounding", value, "quantize.method", "use nearest or gptq");
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<void> set_damping(PressSettings& settings, std::string_view value) {
  settings.damping = number_of<double>(value);
  if (settings.damping && *settings.damping > 0 && *settings.damping <= 1) return {};
  return not_a("a share", value, "quantize.damping", "use a number above 0 and at most 1");
}

Result<void> set_ids(std::optional<std::uint32_t>& to, std::string_view value,
                     std::string_view setting) {
  to = number_of<std::uint32_t>(value);
  if (to && *to >= kFewestIds && *to <= kMostIds) return {};
  return not_a("a number of ids", value, setting,
               "use " + std::to_string(kFewestIds) + " to " + std::to_string(kMostIds));
}

Result<void> set_calibration_ids(PressSettings& settings, std::string_view value) {
  return set_ids(settings.calibration_ids, value, "calibration.ids");
}

Result<void> set_sensitivity_ids(PressSettings& settings, std::string_view value) {
  return set_ids(settings.sensitivity_ids, value, "sensitivity.ids");
}

Result<void> set_between(std::optional<double>& to, std::string_view value,
                         std::string_view setting, double least, double most) {
  to = number_of<double>(value);
  if (to && *to >= least && *to <= most) return {};
  std::string range =
      std::to_string(least).substr(0, 3) + " to " + std::to_string(most).substr(0, 3);
  return not_a("a number that it can be", value, setting, "use " + range);
}

Result<void> set_scales(PressSettings& settings, std::string_view value) {
  return set_between(settings.scales, value, "quantize.scales", 0, 1);
}

Result<void> set_entropy_bits(PressSettings& settings, std::string_view value) {
  return set_between(settings.entropy_bits, value, "entropy.bits", 1, 8);
}

Result<void> set_entropy_price(PressSettings& settings, std::string_view value) {
  return set_between(settings.entropy_price, value, "entropy.lambda", 0, 1);
}

Result<void> set_entropy_exponent(PressSettings& settings, std::string_view value) {
  return set_between(settings.entropy_exponent, value, "entropy.exponent", 0, 1.5);
}

Result<void> set_pages(PressSettings& settings, std::string_view value) {
  if (value == "coded") settings.pages = PageCoding::kCoded;
  if (value == "coded-but-rows") settings.pages = PageCoding::kCodedButRows;
  if (value == "plain") settings.pages = PageCoding::kPlain;
  if (settings.pages) return {};
  return not_a("a way of writing pages", value, "entropy.pages",
               "use coded, coded-but-rows or plain");
}

Result<void> set_cett(PressSettings& settings, std::string_view value) {
  settings.sparsity.cett = number_of<double>(value);
  const auto& cett = settings.sparsity.cett;
  if (cett && *cett >= 0 && *cett <= kMostCett) return {};
  return not_a("a share of the channel mix", value, "sparsity.cett", "use 0 to 0.5");
}

Result<void> set_order(PressSettings& settings, std::string_view value) {
  if (value == "hot") settings.sparsity.order = true;
  if (value == "off") settings.sparsity.order = false;
  if (settings.sparsity.order) return {};
  return not_a("an order of neurons", value, "sparsity.order", "use hot or off");
}

Result<void> set_predictor(PressSettings& settings, std::string_view value) {
  std::vector<ScoreKind> kinds;
  for (std::string_view rest = value; value != "off" && !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('+'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const auto kind =
        std::ranges::find(kScoreKinds, name, [](ScoreKind each) { return name_of(each); });
    const bool twice =
        kind != std::end(kScoreKinds) && std::ranges::find(kinds, *kind) != kinds.end();
    if (kind == std::end(kScoreKinds) || twice) {
      return not_a("a kind of score, or is named twice", name, "sparsity.predictor",
                   "use off, or previous, sign, sketch, key and mlp joined by +");
    }
    kinds.push_back(*kind);
  }
  settings.sparsity.predictor = std::move(kinds);
  return {};
}

struct Known {
  std::string_view name;
  Result<void> (*set)(PressSettings&, std::string_view);
};
constexpr std::array kKnown = {Known{"quantize.format", set_format},
                               Known{"quantize.method", set_method},
                               Known{"quantize.damping", set_damping},
                               Known{"quantize.scales", set_scales},
                               Known{"calibration.ids", set_calibration_ids},
                               Known{"sensitivity.ids", set_sensitivity_ids},
                               Known{"entropy.bits", set_entropy_bits},
                               Known{"entropy.lambda", set_entropy_price},
                               Known{"entropy.exponent", set_entropy_exponent},
                               Known{"entropy.pages", set_pages},
                               Known{"sparsity.cett", set_cett},
                               Known{"sparsity.order", set_order},
                               Known{"sparsity.predictor", set_predictor}};

Result<void> apply(PressSettings& settings, std::string_view name, std::string_view value) {
  if (is_structure_setting(name)) return set_structure(settings.structure, name, value);
  if (is_token_setting(name)) return set_token_setting(settings.tokens, name, value);
  std::string names;
  for (const Known& known : kKnown) {
    if (known.name == name) return known.set(settings, value);
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return fail(Errc::kUsage,
              "there is no setting '" + std::string(name.substr(0, kMostQuoted)) + "'", "--set",
              "the settings are " + names + ", " + std::string(kStructureSettings) + ", " +
                  std::string(kTokenSettings));
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
