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

Result<void> check_only(const CompressionRequest& request) {
  for (const std::string& technique : request.only) {
    if (technique == "quantize" || technique == "entropy") continue;
    return fail(Errc::kUsage, "there is no technique '" + technique.substr(0, 64) + "'", "--only",
                "the techniques are quantize and entropy");
  }
  return {};
}

bool names(const CompressionRequest& request, std::string_view technique) {
  return std::ranges::find(request.only, technique) != request.only.end();
}

// None: the plan has no part of it.
Result<std::optional<EntropyPlan>> entropy_of(const CompressionRequest& request,
                                              const PressSettings& settings) {
  if (!settings.entropy() && !names(request, "entropy")) return std::optional<EntropyPlan>{};
  if (!request.only.empty() && !names(request, "entropy")) {
    return contradiction("entropy is set and left out", "--only", "add entropy, or do not set it");
  }
  if (!request.preset.empty()) {
    return contradiction("a preset is a budget of loss and bits of its own", "--preset",
                         "leave out the preset, or entropy");
  }
  if (request.memory_budget) {
    return contradiction("steps for coded bits are not chosen within bytes of memory",
                         "--memory-budget",
                         "give --bits-per-weight: of memory, beside entropy.bits");
  }
  EntropyPlan plan;
  plan.bits = settings.entropy_bits.value_or(plan.bits);
  plan.price = settings.entropy_price.value_or(plan.price);
  plan.exponent = settings.entropy_exponent.value_or(plan.exponent);
  plan.format = settings.format;
  if (request.bits_per_weight && *request.bits_per_weight < plan.bits) {
    return contradiction("an artifact takes no fewer bits in memory than coded",
                         "--bits-per-weight", "give at least entropy.bits");
  }
  return std::optional(plan);
}

Result<void> check_budgets(const CompressionRequest& request, const PressSettings& settings,
                           bool entropy) {
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
  if (settings.sensitivity_ids && !preset && !budget && !entropy) {
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
  if (plan.calibrates()) return {};
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

std::string text_of(double number, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << number;
  return out.str();
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
  if (entropy) {
    steps.push_back("sensitivity: each matrix alone at q4, over " +
                    std::to_string(sensitivity_ids) + " ids");
    steps.push_back("formats: " +
                    (entropy->format ? std::string(name_of(*entropy->format)) + " for every matrix"
                                     : "the smallest that spans a matrix's codes") +
                    (bits_per_weight ? "; " + budget_text(*this) + " in memory" : ""));
    steps.push_back("entropy: steps for " + text_of(entropy->bits, 3) +
                    " bits a weight once coded; lambda " + text_of(entropy->price, 4) +
                    ", exponent " + text_of(entropy->exponent, 2));
  } else if (allocates()) {
    steps.push_back("sensitivity: each matrix alone at q4, over " +
                    std::to_string(sensitivity_ids) + " ids");
    steps.push_back("formats: q4, q5, q6, q8 or as it is for each matrix; " + budget_text(*this));
  } else {
    steps.push_back("formats: " + std::string(name_of(format)) + " for every matrix");
  }
  steps.push_back(has_feedback() ? "quantize: error feedback (gptq), damping " + text_of(damping, 4)
                                 : "quantize: to the nearest");
  if (calibrates() || !held_out.empty()) {
    steps.push_back("measure: perplexity before and after on " +
                    (held_out.empty() ? "ids that calibration did not see" : held_out));
  }
  return steps;
}

Result<CompressionPlan> CompressionPlan::make(const CompressionRequest& request) {
  TRY(const PressSettings settings, parse_settings(request.settings));
  TRY_VOID(check_only(request));
  TRY(const std::optional<EntropyPlan> entropy, entropy_of(request, settings));
  TRY_VOID(check_budgets(request, settings, entropy.has_value()));
  CompressionPlan plan;
  plan.entropy = entropy;
  TRY_VOID(apply_preset(plan, request.preset));
  if (request.bits_per_weight) plan.bits_per_weight = request.bits_per_weight;
  plan.memory_budget = request.memory_budget;
  plan.calibration = request.calibration;
  plan.held_out = request.held_out;
  // A text is given to be learned from.
  const bool learns = plan.allocates() || !plan.calibration.empty();
  plan.rounding = settings.rounding.value_or(learns ? Rounding::kErrorFeedback  //
                                                    : Rounding::kNearest);
  plan.format = settings.format.value_or(plan.format);
  plan.damping = settings.damping.value_or(plan.damping);
  plan.calibration_ids = settings.calibration_ids.value_or(plan.calibration_ids);
  plan.sensitivity_ids =
      std::min(settings.sensitivity_ids.value_or(plan.sensitivity_ids), plan.calibration_ids);
  TRY_VOID(check_calibration(plan, settings));
  return plan;
}

}  // namespace skein
