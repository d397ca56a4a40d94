#include "coordinator/compress/internal/structure_settings.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace skein {
namespace {

using Score = PrunePlan::Score;
using Method = LowRankPlan::Method;

constexpr std::pair<std::string_view, Score> kScores[] = {
    {"lorap", Score::kLorap}, {"newton", Score::kNewton}, {"frequency", Score::kFrequency}};
constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"svd", Method::kSvd}, {"awsvd", Method::kAwsvd}, {"whitened", Method::kWhitened}};

constexpr std::string_view kLetters = "rkvgo";
constexpr std::size_t kMostQuoted = 64;
constexpr double kMostShare = 0.9;

tl::unexpected<Error> wrong(std::string_view value, std::string_view what, std::string_view name,
                            std::string remedy) {
  return fail(Errc::kUsage,
              "'" + std::string(value.substr(0, kMostQuoted)) + "' is not " + std::string(what),
              "--set " + std::string(name), std::move(remedy));
}

template <class Value, std::size_t kCount>
Result<void> set_named(std::optional<Value>& to,
                       const std::pair<std::string_view, Value> (&known)[kCount],
                       std::string_view value, std::string_view name) {
  std::string names;
  for (const auto& [word, meaning] : known) {
    if (word == value) to = meaning;
    names += (names.empty() ? "" : ", ") + std::string(word);
  }
  if (to) return {};
  return wrong(value, "known here", name, "use one of " + names);
}

struct Range {
  double least = 0;
  double most = 0;
};

template <class Number>
Result<void> set_number(std::optional<Number>& to, Range range, std::string_view value,
                        std::string_view name) {
  Number number{};
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == value.data() + value.size();
  const auto as_double = static_cast<double>(number);
  if (whole && as_double >= range.least && as_double <= range.most) {
    to = number;
    return {};
  }
  std::string most = std::to_string(range.most);
  most.erase(most.find_last_not_of("0.") + 1);
  return wrong(value, "a number that fits", name, "use a number up to " + most);
}

Result<void> set_share(std::optional<double>& to, std::string_view value, std::string_view name) {
  return set_number(to, {1e-4, kMostShare}, value, name);
}

Result<void> set_switch(std::optional<bool>& to, std::string_view value, std::string_view name) {
  if (value == "on" || value == "off") {
    to = value == "on";
    return {};
  }
  return wrong(value, "a switch", name, "use on or off");
}

// "r,k,v" -> "rkv"
Result<void> set_targets(std::optional<std::string>& to, std::string_view value,
                         std::string_view name) {
  std::string letters;
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t comma = std::min(value.find(',', at), value.size());
    const std::string_view word = value.substr(at, comma - at);
    if (word.starts_with("ffn")) {
      return fail(Errc::kUsage,
                  "factors would mix the neurons of a channel mix, of which only those that fire "
                  "are read",
                  "--set " + std::string(name), "leave channel-mix matrices to prune.ratio");
    }
    const bool known = word.size() == 1 && kLetters.contains(word[0]);
    if (!known || letters.contains(word[0])) {
      return wrong(word, "a matrix of time mixing, named once", name, "use some of r,k,v,g,o");
    }
    letters += word;
    at = comma + 1;
  }
  to = letters;
  return {};
}

}  // namespace

PrunePlan StructureSettings::prune_plan() const {
  const PrunePlan plan;
  return {.score = score.value_or(plan.score),
          .ratio = prune_ratio.value_or(plan.ratio),
          .compensate = compensate.value_or(plan.compensate),
          .least = least,
          .guard = guard.value_or(plan.guard)};
}

LowRankPlan StructureSettings::low_rank_plan() const {
  const LowRankPlan plan;
  return {.method = method.value_or(plan.method),
          .targets = targets.value_or(plan.targets),
          .factor = factor.value_or(plan.factor),
          .ratio = rank_ratio,
          .compensate = residual_rank};
}

Result<void> StructureSettings::check() const {
  if (factor && rank_ratio) {
    return fail(Errc::kUsage, "a factor and a ratio each say which rank", "--set lowrank.ratio",
                "set one of lowrank.factor and lowrank.ratio");
  }
  if (residual_rank && (factor || rank_ratio)) {
    return fail(Errc::kUsage,
                "a matrix is either replaced by its factors or kept and made good by factors",
                "--set lowrank.compensate", "leave it out, or lowrank.factor and lowrank.ratio");
  }
  const PrunePlan plan = prune_plan();
  if (plan.ratio + plan.guard + plan.least.value_or(0) > 1) {
    return fail(Errc::kUsage, "the guard (or prune.least) keeps more neurons than the ratio leaves",
                "--set prune.guard", "set a lower prune.guard or prune.ratio");
  }
  return {};
}

bool is_structure_setting(std::string_view name) {
  return kStructureSettings.contains(name) &&
         (name.starts_with("prune.") || name.starts_with("lowrank.")) && !name.contains(',');
}

Result<void> set_structure(StructureSettings& to, std::string_view name, std::string_view value) {
  if (name == "prune.score") return set_named(to.score, kScores, value, name);
  if (name == "prune.ratio") return set_share(to.prune_ratio, value, name);
  if (name == "prune.compensate") return set_switch(to.compensate, value, name);
  if (name == "prune.guard") return set_number(to.guard, {0, kMostShare}, value, name);
  if (name == "prune.least") return set_number(to.least, {0, kMostShare}, value, name);
  if (name == "lowrank.method") return set_named(to.method, kMethods, value, name);
  if (name == "lowrank.targets") return set_targets(to.targets, value, name);
  if (name == "lowrank.factor") return set_number(to.factor, {3, 64}, value, name);
  if (name == "lowrank.ratio") return set_share(to.rank_ratio, value, name);
  if (name == "lowrank.compensate") return set_number(to.residual_rank, {1, 256}, value, name);
  return fail(Errc::kUsage,
              "there is no setting '" + std::string(name.substr(0, kMostQuoted)) + "'", "--set",
              "the settings are " + std::string(kStructureSettings));
}

std::string_view name_of(Score score) {
  return std::ranges::find(kScores, score, &std::pair<std::string_view, Score>::second)->first;
}

std::string_view name_of(Method method) {
  return std::ranges::find(kMethods, method, &std::pair<std::string_view, Method>::second)->first;
}

}  // namespace skein
