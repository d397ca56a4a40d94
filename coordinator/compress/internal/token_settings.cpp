#include "coordinator/compress/internal/token_settings.h"

#include <charconv>
#include <string>

namespace skein {
namespace {

constexpr std::size_t kMostQuoted = 64;

tl::unexpected<Error> wrong(std::string_view value, std::string_view what, std::string_view name,
                            std::string remedy) {
  return fail(Errc::kUsage,
              "'" + std::string(value.substr(0, kMostQuoted)) + "' is not " + std::string(what),
              "--set " + std::string(name), std::move(remedy));
}

Result<void> set_format(std::optional<Format>& to, std::string_view value, std::string_view name) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8, Format::kQ6,
                              Format::kQ5, Format::kQ4}) {
    if (value == name_of(format)) to = format;
  }
  if (to) return {};
  return wrong(value, "a format of rows", name, "use q8, q6, q5, q4, bf16, f16 or f32");
}

Result<void> set_method(std::optional<HeadPlan::Method>& to, std::string_view value,
                        std::string_view name) {
  for (const HeadPlan::Method method : {HeadPlan::Method::kScreen, HeadPlan::Method::kClusters}) {
    if (value == name_of(method)) to = method;
  }
  if (to) return {};
  return wrong(value, "a way of reading less of the head", name, "use screen or clusters");
}

template <class Number>
Result<void> set_number(std::optional<Number>& to, double least, double most,
                        std::string_view value, std::string_view name) {
  Number number{};
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == value.data() + value.size();
  if (whole && static_cast<double>(number) >= least && static_cast<double>(number) <= most) {
    to = number;
    return {};
  }
  const auto text = [](double bound) {
    std::string digits = std::to_string(bound);
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
    return digits;
  };
  return wrong(value, "a number that fits", name, "use " + text(least) + " to " + text(most));
}

constexpr double kMostClusters = 4096;

}  // namespace

HeadPlan TokenSettings::head_plan() const {
  const HeadPlan plan;
  return {.method = head_method.value_or(plan.method),
          .clusters = head_clusters,
          .rank = head_rank,
          .format = sketch_format.value_or(plan.format),
          .mass = head_mass.value_or(plan.mass),
          .least = head_least.value_or(plan.least),
          .most = head_most.value_or(plan.most),
          .epochs = head_epochs.value_or(plan.epochs)};
}

Result<void> TokenSettings::check() const {
  const HeadPlan plan = head_plan();
  const bool screens = plan.method == HeadPlan::Method::kScreen;
  if (screens && (head_mass || head_least || head_most || head_epochs)) {
    return fail(Errc::kUsage, "a screen looks into what can be largest, not into likely clusters",
                "--set head.mass",
                "add --set head.method=clusters, or leave out head.mass, "
                "head.least, head.most and head.epochs");
  }
  if (!screens && (head_rank || sketch_format)) {
    return fail(Errc::kUsage, "a hierarchical head has no sketch of its rows", "--set head.rank",
                "leave out head.rank and head.format, or head.method=clusters");
  }
  if (plan.least > plan.most) {
    return fail(Errc::kUsage, "more clusters are looked into at least than at most",
                "--set head.least", "set a lower head.least or a higher head.most");
  }
  return {};
}

std::string_view name_of(HeadPlan::Method method) {
  return method == HeadPlan::Method::kScreen ? "screen" : "clusters";
}

bool is_token_setting(std::string_view name) {
  return kTokenSettings.contains(name) &&
         (name.starts_with("embedding.") || name.starts_with("head.")) && !name.contains(',');
}

Result<void> set_token_setting(TokenSettings& to, std::string_view name, std::string_view value) {
  if (name == "embedding.format") return set_format(to.embedding_format, value, name);
  if (name == "head.method") return set_method(to.head_method, value, name);
  if (name == "head.clusters") return set_number(to.head_clusters, 1, kMostClusters, value, name);
  if (name == "head.rank") return set_number(to.head_rank, 1, kMostClusters, value, name);
  if (name == "head.format") return set_format(to.sketch_format, value, name);
  if (name == "head.mass") return set_number(to.head_mass, 0.01, 1, value, name);
  if (name == "head.least") return set_number(to.head_least, 1, kMostClusters, value, name);
  if (name == "head.most") return set_number(to.head_most, 1, kMostClusters, value, name);
  if (name == "head.epochs") return set_number(to.head_epochs, 1, 1000, value, name);
  return fail(Errc::kUsage,
              "there is no setting '" + std::string(name.substr(0, kMostQuoted)) + "'", "--set",
              "the settings are " + std::string(kTokenSettings));
}

}  // namespace skein
