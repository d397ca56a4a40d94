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
  double perplexity;                      // share that it may grow by
  double bits;                            // a weight, at most; of what is in memory, if coded
  std::optional<double> coded_bits = {};  // to begin with
};
constexpr Preset kPresets[] = {
    {"near-lossless", 0.0005, 6.6}, {"balanced", 0.004, 4.6, 3.6}, {kSmallPreset, 0.03, 4.6}};
constexpr double kCodedDamping = 0.1;  // of a preset: measured (internal/README.md)
constexpr double kSmallPruned = 0.3;   // costs half of what the preset may

tl::unexpected<Error> contradiction(std::string what, std::string where, std::string remedy) {
  return fail(Errc::kUsage, std::move(what), std::move(where), std::move(remedy));
}

std::string_view text_of(PageCoding pages) {
  if (pages == PageCoding::kPlain) return "plain";
  return pages == PageCoding::kCoded ? "coded" : "coded but rows that a pager reads";
}

bool is_coded(std::string_view name) {
  const auto preset = std::ranges::find(kPresets, name, &Preset::name);
  return preset != std::end(kPresets) && preset->coded_bits;
}

// Without the technique entropy bits are chosen, and steps follow from them.
Result<void> apply_preset(CompressionPlan& plan, const std::string& name, bool coded) {
  if (name.empty()) return {};
  const auto preset = std::ranges::find(kPresets, name, &Preset::name);
  if (preset == std::end(kPresets)) {
    return fail(Errc::kUsage, "there is no preset '" + name.substr(0, 64) + "'", "--preset",
                "use near-lossless, balanced or small");
  }
  plan.preset = name;
  plan.most_loss = std::log1p(preset->perplexity);
  if (!coded || !preset->coded_bits) {
    plan.bits_per_weight = preset->bits;
    return {};
  }
  plan.resident_bits = preset->bits;
  plan.entropy.emplace();
  plan.entropy->bits = *preset->coded_bits;
  plan.damping = kCodedDamping;
  return {};
}

std::string text_of(double number, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << number;
  return out.str();
}

constexpr std::string_view kTechniques[] = {"embedding", "prune", "lowrank", "quantize",
                                            "sparsity",  "head",  "entropy"};

// None: the plan has no part of it. Coding pages alone is not what this is about.
Result<std::optional<EntropyPlan>> entropy_of(const CompressionRequest& request,
                                              const PressSettings& settings) {
  if (!settings.entropy_bits) {
    if (!settings.entropy_price && !settings.entropy_exponent) return std::optional<EntropyPlan>{};
    return contradiction("steps that no number of bits asks for are set", "--set entropy",
                         "add entropy.bits, for example --set entropy.bits=3.2");
  }
  if (!request.preset.empty()) {
    return contradiction("a preset is a budget of loss and bits of its own", "--preset",
                         "leave out the preset, or entropy.bits");
  }
  EntropyPlan plan;
  plan.bits = *settings.entropy_bits;
  plan.price = settings.entropy_price.value_or(plan.price);
  plan.exponent = settings.entropy_exponent.value_or(plan.exponent);
  plan.format = settings.format;
  if (request.bits_per_weight && *request.bits_per_weight < plan.bits) {
    return contradiction("an artifact takes no fewer bits in memory than coded",
                         "--bits-per-weight", "give at least entropy.bits");
  }
  return std::optional(plan);
}

// Which techniques are applied: those named, or quantize and whatever has a setting.
struct Chosen {
  bool embedding = false;
  bool prune = false;
  bool low_rank = false;
  bool quantize = true;
  bool sparsity = false;
  bool head = false;
  bool entropy = false;
  bool changes_weights() const {
    return embedding || prune || low_rank || quantize || sparsity || head;
  }
};

bool has_budget(const CompressionRequest& request) {
  return request.bits_per_weight || request.memory_budget || !request.preset.empty();
}

// What belongs to a technique that --only leaves out is a contradiction.
Result<void> check_left_out(const Chosen& chosen, const CompressionRequest& request,
                            const PressSettings& settings) {
  const bool formats =
      settings.format || settings.rounding || settings.damping || has_budget(request);
  struct Asked {
    bool asked = false;
    bool chosen = false;
    std::string_view what;
    std::string_view technique;
  };
  const Asked all[] = {
      {settings.tokens.embeds(), chosen.embedding, "a format of the embedding", "embedding"},
      {settings.structure.prunes(), chosen.prune, "a setting of prune", "prune"},
      {settings.structure.factors(), chosen.low_rank, "a setting of lowrank", "lowrank"},
      {formats, chosen.quantize, "a format or a budget", "quantize"},
      {settings.structure.residual_rank.has_value(), chosen.quantize,
       "making good what rounding missed", "quantize"},
      {settings.sparsity.any(), chosen.sparsity, "a setting of sparsity", "sparsity"},
      {settings.tokens.heads(), chosen.head, "a setting of head", "head"},
      {settings.codes_pages(false), chosen.entropy, "coding of pages", "entropy"},
      {settings.entropy_bits.has_value(), chosen.entropy, "a number of bits once coded",
       "entropy"}};
  for (const Asked& each : all) {
    if (!each.asked || each.chosen) continue;
    const std::string technique(each.technique);
    return contradiction(
        std::string(each.what) + " is asked for, and --only leaves out " + technique, "--only",
        "add " + technique + " to --only, or leave it out");
  }
  return {};
}

Result<Chosen> choose_techniques(const CompressionRequest& request, const PressSettings& settings) {
  if (request.only.empty()) {
    const bool coded = settings.entropy_bits || is_coded(request.preset);
    const bool small = request.preset == kSmallPreset;
    return Chosen{.embedding = small || settings.tokens.embeds(),
                  .prune = small || settings.structure.prunes(),
                  .low_rank = settings.structure.factors(),
                  .sparsity = settings.sparsity.any(),
                  .head = settings.tokens.heads(),
                  .entropy = settings.codes_pages(coded)};
  }
  for (const std::string& technique : request.only) {
    if (std::ranges::find(kTechniques, technique) != std::end(kTechniques)) continue;
    std::string names;
    for (const std::string_view name : kTechniques) {
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    return fail(Errc::kUsage, "there is no technique '" + technique.substr(0, 64) + "'", "--only",
                "the techniques are " + names);
  }
  const auto named = [&](std::string_view technique) {
    return std::ranges::find(request.only, technique) != request.only.end();
  };
  const Chosen chosen{.embedding = named("embedding"),
                      .prune = named("prune"),
                      .low_rank = named("lowrank"),
                      .quantize = named("quantize") || (named("entropy") && settings.entropy_bits),
                      .sparsity = named("sparsity"),
                      .head = named("head"),
                      .entropy = named("entropy")};
  TRY_VOID(check_left_out(chosen, request, settings));
  return chosen;
}

Result<void> check_structure(const CompressionRequest& request, const PressSettings& settings) {
  TRY_VOID(settings.structure.check());
  TRY_VOID(settings.tokens.check());
  if (settings.structure.residual_rank && (has_budget(request) || settings.entropy_bits)) {
    return contradiction("factors of what rounding missed come after the budget is spent",
                         "--set lowrank.compensate", "leave it out, or the budget");
  }
  return {};
}

// Named alone it orders neurons and foresees them by sketches; else what was set of it.
SparsityPlan sparsity_plan(const CompressionRequest& request, const SparsitySettings& settings) {
  SparsityPlan plan;
  if (std::ranges::find(request.only, "sparsity") != request.only.end()) {
    plan = {.order = true, .predictor = {ScoreKind::kSketch}};
  }
  plan.cett = settings.cett.value_or(plan.cett);
  plan.order = settings.order.value_or(plan.order);
  plan.predictor = settings.predictor.value_or(plan.predictor);
  return plan;
}

void add_sparsity_steps(const SparsityPlan& plan, std::vector<std::string>& steps) {
  if (plan.cett > 0) {
    steps.push_back("sparsity: thresholds of neurons, CETT at most " + text_of(plan.cett, 3));
  }
  if (plan.predictor.empty()) return;
  std::string kinds;
  for (const ScoreKind kind : plan.predictor) {
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
  if (settings.sensitivity_ids && !preset && !budget && !settings.entropy_bits) {
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
  if (plan.calibrates() || plan.sparsity.any() || plan.head) return {};
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

// Coding pages keeps every bit, so alone it goes with nothing that changes one.
Result<void> check_pages_alone(const CompressionRequest& request, const PressSettings& settings) {
  const bool reads = !request.calibration.empty() || !request.held_out.empty() ||
                     settings.calibration_ids || settings.sensitivity_ids;
  if (!reads) return {};
  return contradiction("coding pages changes no weight and reads no text", "--only entropy",
                       "leave out the texts, or write --only quantize,entropy");
}

std::string short_text(double number) {
  std::string text = text_of(number, 4);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string prune_text(const PrunePlan& plan) {
  return "prune: " + short_text(plan.ratio * 100) + " % of the channel mix's neurons, by " +
         std::string(name_of(plan.score)) + ", but for those of the largest " +
         short_text(plan.guard * 100) + " % of contributions; " +
         (plan.compensate ? "values made good by least squares" : "values as they are");
}

std::string embedding_text(const CompressionPlan& plan) {
  const bool chosen = plan.quantizes && plan.allocates() && !plan.embedding->format;
  return "embedding: ln0 folded into its rows, " +
         (chosen ? "in the format that the budget chooses"
                 : std::string(name_of(plan.embedding->format.value_or(Format::kQ8)))) +
         ", read from disk row by row";
}

std::string head_text(const HeadPlan& plan) {
  const std::string groups =
      plan.clusters ? std::to_string(*plan.clusters) + " clusters" : "clusters (200, or fewer)";
  if (plan.method == HeadPlan::Method::kScreen) {
    return "head: rows in the order of " + groups + "; screened by a sketch of rank " +
           (plan.rank ? std::to_string(*plan.rank) : "width / 2") + " in " +
           std::string(name_of(plan.format)) + ", then exact: every choice keeps its bits";
  }
  return "head: hierarchical, " + groups + ", looked into until they have " +
         short_text(plan.mass * 100) + " % (" + std::to_string(plan.least) + " to " +
         std::to_string(plan.most) + " of them); the others' tokens share what is left";
}

std::string low_rank_text(const LowRankPlan& plan) {
  std::string of = plan.targets;
  if (of.empty()) of = plan.ratio || plan.compensate ? "r, k, v, o (and g)" : "r, k, v (and g)";
  const std::string method = " (" + std::string(name_of(plan.method)) + ")";
  if (plan.compensate) {
    return "lowrank: what rounding missed of " + of + ", by factors of rank " +
           std::to_string(*plan.compensate) + method;
  }
  return "lowrank: " + of + " by factors, " +
         (plan.ratio ? short_text(*plan.ratio * 100) + " % less of r, k, v, o"
                     : "rank width / " + std::to_string(plan.factor)) +
         method;
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
  if (plan.resident_bits) {
    text += (text.empty() ? "" : ", ") + std::string("at most ") + text_of(*plan.resident_bits, 3) +
            " bits a weight (all tensors but the embedding)";
  }
  if (plan.memory_budget) {
    text += "at most " + std::to_string(*plan.memory_budget) +
            " bytes in memory (all tensors but the embedding)";
  }
  return text;
}

}  // namespace

std::vector<std::string> CompressionPlan::structure_techniques() const {
  std::vector<std::string> out;
  if (embedding) out.emplace_back("embedding-normed");
  if (prune) {
    out.push_back("prune-" + std::string(name_of(prune->score)) + "-" + short_text(prune->ratio));
  }
  if (low_rank) {
    const std::string rank = low_rank->compensate
                                 ? "residual" + std::to_string(*low_rank->compensate)
                             : low_rank->ratio ? short_text(*low_rank->ratio)
                                               : "f" + std::to_string(low_rank->factor);
    out.push_back("lowrank-" + std::string(name_of(low_rank->method)) + "-" + rank);
  }
  return out;
}

std::vector<std::string> CompressionPlan::steps() const {
  std::vector<std::string> steps;
  if (only_pages) {
    return {"pages: " + std::string(text_of(pages)) + ", every bit kept"};
  }
  if (calibrates() || sparsity.any() || head) {
    steps.push_back("calibrate: " + std::to_string(calibration_ids) + " ids " +
                    (calibration.empty() ? "sampled from the model" : "of " + calibration));
  }
  if (sparsity.order) steps.emplace_back("sparsity: neurons in a new order, hot ones first");
  if (embedding) steps.push_back(embedding_text(*this));
  if (prune) steps.push_back(prune_text(*prune));
  if (low_rank && !low_rank->compensate) steps.push_back(low_rank_text(*low_rank));
  if (scales > 0) {
    steps.push_back("scales: channels by their rms to the power " + text_of(scales, 2) +
                    ", in powers of two");
  }
  if (entropy) {
    steps.push_back("sensitivity: each matrix alone at q4, over " +
                    std::to_string(sensitivity_ids) + " ids");
    steps.push_back("formats: " +
                    (entropy->format ? std::string(name_of(*entropy->format)) + " for every matrix"
                                     : "the smallest that spans a matrix's codes") +
                    (budget_text(*this).empty() ? "" : "; " + budget_text(*this) + " in memory"));
    steps.push_back("entropy: steps for " + text_of(entropy->bits, 3) +
                    " bits a weight once coded" +
                    (most_loss ? ", more if that costs too much" : "") + "; lambda " +
                    text_of(entropy->price, 4) + ", exponent " + text_of(entropy->exponent, 2));
  } else if (allocates()) {
    steps.push_back("sensitivity: each matrix alone at q4, over " +
                    std::to_string(sensitivity_ids) + " ids");
    steps.push_back("formats: q4, q5, q6, q8 or as it is for each matrix; " + budget_text(*this));
  } else if (quantizes) {
    steps.push_back("formats: " + std::string(name_of(format)) + " for every matrix");
  }
  if (quantizes) {
    steps.push_back(has_feedback()
                        ? "quantize: error feedback (gptq), damping " + text_of(damping, 4)
                        : "quantize: to the nearest");
  } else if (!restructures()) {
    steps.emplace_back(embedding ? "formats: every other tensor as it is"
                                 : "formats: every tensor as it is");
  }
  if (low_rank && low_rank->compensate) steps.push_back(low_rank_text(*low_rank));
  add_sparsity_steps(sparsity, steps);
  if (head) steps.push_back(head_text(*head));
  if (calibrates() || sparsity.any() || head || !held_out.empty()) {
    steps.push_back("measure: perplexity before and after on " +
                    (held_out.empty() ? "ids that calibration did not see" : held_out));
  }
  if (pages != PageCoding::kPlain) {
    steps.push_back("entropy: pages " + std::string(text_of(pages)) + ", every bit kept");
  }
  return steps;
}

Result<CompressionPlan> CompressionPlan::make(const CompressionRequest& request) {
  TRY(const PressSettings settings, parse_settings(request.settings));
  TRY(const std::optional<EntropyPlan> entropy, entropy_of(request, settings));
  TRY(const Chosen chosen, choose_techniques(request, settings));
  TRY_VOID(check_structure(request, settings));
  TRY_VOID(check_budgets(request, settings));
  CompressionPlan plan;
  plan.entropy = entropy;
  plan.quantizes = chosen.quantize;
  if (chosen.embedding) plan.embedding = settings.tokens.embedding_plan();
  if (chosen.prune) plan.prune = settings.structure.prune_plan();
  if (request.preset == kSmallPreset && plan.prune && !settings.structure.prune_ratio) {
    plan.prune->ratio = kSmallPruned;
  }
  if (chosen.low_rank) plan.low_rank = settings.structure.low_rank_plan();
  TRY_VOID(apply_preset(plan, request.preset, chosen.entropy));
  if (request.bits_per_weight) plan.bits_per_weight = request.bits_per_weight;
  plan.memory_budget = request.memory_budget;
  plan.calibration = request.calibration;
  plan.held_out = request.held_out;
  if (chosen.head) plan.head = settings.tokens.head_plan();
  if (chosen.sparsity) plan.sparsity = sparsity_plan(request, settings.sparsity);
  plan.pages = settings.pages.value_or(chosen.entropy ? PageCoding::kCoded : PageCoding::kPlain);
  plan.only_pages = chosen.entropy && !chosen.changes_weights();
  if (plan.only_pages) {
    TRY_VOID(check_pages_alone(request, settings));
    return plan;
  }
  // A text is given to be learned from.
  const bool learns = chosen.quantize && (plan.allocates() || !plan.calibration.empty());
  plan.rounding = settings.rounding.value_or(learns ? Rounding::kErrorFeedback  //
                                                    : Rounding::kNearest);
  plan.format = settings.format.value_or(plan.format);
  plan.damping = settings.damping.value_or(plan.damping);
  plan.scales = settings.scales.value_or(plan.scales);
  plan.calibration_ids = settings.calibration_ids.value_or(plan.calibration_ids);
  plan.sensitivity_ids =
      std::min(settings.sensitivity_ids.value_or(plan.sensitivity_ids), plan.calibration_ids);
  TRY_VOID(check_calibration(plan, settings));
  return plan;
}

}  // namespace skein
