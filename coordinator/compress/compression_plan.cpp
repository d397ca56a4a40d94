#include "coordinator/compress/compression_plan.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "coordinator/compress/internal/settings.h"

namespace skein {
namespace {

// A preset is what it may cost: perplexity, and bits at which to stop even if that is not reached.
struct Preset {
  std::string_view name;
  double perplexity;  // share that it may grow by
  double bits;        // a weight, at most
};
constexpr Preset kPresets[] = {{"near-lossless", 0.0005, 6.6}, {"balanced", 0.004, 4.6}};

tl::unexpected<Error> contradiction(std::string what, std::string where, std::string remedy) {
  return fail(Errc::kUsage, std::move(what), std::move(where), std::move(remedy));
}

Result<void> apply_preset(CompressionPlan& plan, const std::string& name) {
  if (name.empty()) return {};
  const auto preset = std::ranges::find(kPresets, name, &Preset::name);
  if (preset == std::end(kPresets)) {
    return fail(Errc::kUsage,
                name == "small" ? "the preset 'small' is not built yet"
                                : "there is no preset '" + name.substr(0, 64) + "'",
                "--preset", "use near-lossless or balanced");
  }
  plan.preset = name;
  plan.most_loss = std::log1p(preset->perplexity);
  plan.bits_per_weight = preset->bits;
  return {};
}

std::string text_of(double number, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << number;
  return out.str();
}

Result<void> check_only(const CompressionRequest& request) {
  for (const std::string& technique : request.only) {
    if (technique == "quantize" || technique == "sparsity") continue;
    return fail(Errc::kUsage, "there is no technique '" + technique.substr(0, 64) + "'", "--only",
                "the techniques are quantize and sparsity");
  }
  return {};
}

bool is_wanted(const CompressionRequest& request, std::string_view technique) {
  return request.only.empty() || std::ranges::find(request.only, technique) != request.only.end();
}

// Sparsity runs where something of it was set, or where it was asked for by name.
Result<void> plan_sparsity(CompressionPlan& plan, const CompressionRequest& request,
                           const SparsitySettings& settings) {
  const bool named = !request.only.empty() && is_wanted(request, "sparsity");
  plan.quantizes = is_wanted(request, "quantize");
  if (settings.any() && !is_wanted(request, "sparsity")) {
    return contradiction("sparsity is set, and not among the techniques", "--only",
                         "add sparsity to --only, or leave out its settings");
  }
  plan.sparsity.cett = settings.cett.value_or(0);
  plan.sparsity.order = settings.order.value_or(named);
  if (named) plan.sparsity.predictor = {ScoreKind::kSketch};
  if (settings.predictor) plan.sparsity.predictor = *settings.predictor;
  const bool quantize_only = request.bits_per_weight || request.memory_budget ||
                             !request.preset.empty() || plan.format != Format::kQ8 ||
                             plan.rounding == CompressionPlan::Rounding::kErrorFeedback;
  if (!plan.quantizes && quantize_only) {
    return contradiction("without quantize there is no format to choose", "--only",
                         "add quantize to --only, or leave out what is its own");
  }
  return {};
}

void add_sparsity_steps(const CompressionPlan& plan, std::vector<std::string>& steps) {
  const SparsityPlan& sparsity = plan.sparsity;
  if (sparsity.order) {
    steps.insert(steps.begin(), "sparsity: neurons in a new order, hot ones first");
  }
  if (sparsity.cett > 0) {
    steps.push_back("sparsity: thresholds of neurons, CETT at most " + text_of(sparsity.cett, 3));
  }
  if (sparsity.predictor.empty()) return;
  std::string kinds;
  for (const ScoreKind kind : sparsity.predictor) {
    kinds += (kinds.empty() ? "" : "+") + std::string(name_of(kind));
  }
  steps.push_back("sparsity: a predictor of the neurons that fire: " + kinds);
}

Result<void> check_budgets(const CompressionRequest& request, const PressSettings& settings) {
  const bool preset = !request.preset.empty();
  const bool budget = request.bits_per_weight || request.memory_budget;
  if (request.bits_per_weight && request.memory_budget) {
    return contradiction("two budgets are asked for, and one decides", "--memory-budget",
                         "give --bits-per-weight or --memory-budget");
  }
  if (preset && budget) {
    return contradiction("a preset is a budget of loss and bits of its own", "--preset",
                         "leave out the preset, or the other budget");
  }
  if (settings.format && (preset || budget)) {
    return contradiction("one format for all leaves a budget nothing to choose",
                         "--set quantize.format", "leave out the format, or the budget");
  }
  if (request.bits_per_weight && !(*request.bits_per_weight > 0)) {
    return contradiction("no artifact has so few bits", "--bits-per-weight", "give more than 0");
  }
  if (settings.sensitivity_ids && !preset && !budget) {
    return contradiction("sensitivities are measured for a budget only", "--set sensitivity.ids",
                         "give a preset or a budget, or leave this out");
  }
  return {};
}

// A text that nothing would be learned from is a mistake.
Result<void> check_calibration(const CompressionPlan& plan, const PressSettings& settings) {
  if (settings.damping && !plan.has_feedback()) {
    return contradiction("rounding to the nearest has no damping", "--set quantize.damping",
                         "add --set quantize.method=gptq");
  }
  if (plan.calibrates() || plan.sparsity.any()) return {};
  if (!plan.calibration.empty()) {
    return contradiction("rounding every matrix to the nearest learns nothing from a text",
                         "--calibration", "leave out quantize.method=nearest, or the text");
  }
  if (settings.calibration_ids) {
    return contradiction("rounding every matrix to the nearest reads no text",
                         "--set calibration.ids", "add --set quantize.method=gptq");
  }
  return {};
}

std::string budget_text(const CompressionPlan& plan) {
  std::string text;
  if (plan.most_loss) {
    text = "perplexity at most +" + text_of(std::expm1(*plan.most_loss) * 100, 3) + " %";
  }
  if (plan.bits_per_weight) {
    text += (text.empty() ? "" : ", ") + std::string("at most ") +
            text_of(*plan.bits_per_weight, 3) + " bits a weight (all tensors)";
  }
  if (plan.memory_budget) {
    text += "at most " + std::to_string(*plan.memory_budget) +
            " bytes in memory (all tensors but the embedding)";
  }
  return text;
}

}  // namespace

std::vector<std::string> CompressionPlan::steps() const {
  std::vector<std::string> steps;
  if (calibrates()) {
    steps.push_back("calibrate: " + std::to_string(calibration_ids) + " ids " +
                    (calibration.empty() ? "sampled from the model" : "of " + calibration));
  }
  if (allocates()) {
    steps.push_back("sensitivity: each matrix alone at q4, over " +
                    std::to_string(sensitivity_ids) + " ids");
    steps.push_back("formats: q4, q5, q6, q8 or as it is for each matrix; " + budget_text(*this));
  } else {
    steps.push_back("formats: " + std::string(name_of(format)) + " for every matrix");
  }
  steps.push_back(has_feedback() ? "quantize: error feedback (gptq), damping " + text_of(damping, 4)
                                 : "quantize: to the nearest");
  if (!quantizes) steps.assign(1, "formats: every tensor as it is");
  add_sparsity_steps(*this, steps);
  if (calibrates() || sparsity.any() || !held_out.empty()) {
    steps.push_back("measure: perplexity before and after on " +
                    (held_out.empty() ? "ids that calibration did not see" : held_out));
  }
  return steps;
}

Result<CompressionPlan> CompressionPlan::make(const CompressionRequest& request) {
  TRY(const PressSettings settings, parse_settings(request.settings));
  TRY_VOID(check_only(request));
  TRY_VOID(check_budgets(request, settings));
  CompressionPlan plan;
  TRY_VOID(apply_preset(plan, request.preset));
  if (request.bits_per_weight) plan.bits_per_weight = request.bits_per_weight;
  plan.memory_budget = request.memory_budget;
  plan.calibration = request.calibration;
  plan.held_out = request.held_out;
  // A text is given to be learned from.
  const bool learns =
      is_wanted(request, "quantize") && (plan.allocates() || !plan.calibration.empty());
  plan.rounding = settings.rounding.value_or(learns ? Rounding::kErrorFeedback  //
                                                    : Rounding::kNearest);
  plan.format = settings.format.value_or(plan.format);
  plan.damping = settings.damping.value_or(plan.damping);
  plan.calibration_ids = settings.calibration_ids.value_or(plan.calibration_ids);
  plan.sensitivity_ids =
      std::min(settings.sensitivity_ids.value_or(plan.sensitivity_ids), plan.calibration_ids);
  TRY_VOID(plan_sparsity(plan, request, settings.sparsity));
  TRY_VOID(check_calibration(plan, settings));
  return plan;
}

}  // namespace skein
