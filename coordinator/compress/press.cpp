#include "coordinator/compress/press.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "common/model/evaluate.h"
#include "coordinator/compress/internal/changed_tensor.h"
#include "coordinator/compress/internal/coded_size.h"
#include "coordinator/compress/internal/embedding_folding.h"
#include "coordinator/compress/internal/low_rank.h"
#include "coordinator/compress/internal/matrix_rounding.h"
#include "coordinator/compress/internal/planned_encoder.h"
#include "coordinator/compress/internal/press_weights.h"
#include "coordinator/compress/internal/restructure.h"
#include "coordinator/compress/internal/sensitivity.h"
#include "coordinator/compress/internal/step_search.h"
#include "coordinator/compress/internal/tensor_reports.h"

namespace skein {
namespace {

constexpr std::uint32_t kContext = 512;  // as `skein eval` has it
constexpr std::uint64_t kSamplingSeed = 20251125;
constexpr std::uint32_t kFewestTextIds = 512;
constexpr double kFirstLossStep = 2e-2;  // nats of all weights, for 4 bits; a search begins there
constexpr double kOctaves = 2.2;         // of it for a bit
constexpr int kMostSurveys = 3;
constexpr double kFarFromBits = 0.3;  // formats chosen there are chosen again
constexpr int kMostAttempts = 4;      // to reach a loss after the first
constexpr double kFewestMoreBits = 0.05;

std::string bits_text(double bits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(3) << std::ceil(bits * 1000) / 1000;
  return out.str();
}

// One run of the press.
class Pressing {
 public:
  Pressing(const PressInput& input, const CompressionPlan& plan) : input_(input), plan_(plan) {}

  Result<PressResult> run() {
    const bool measures = plan_.calibrates() || !input_.held_out.empty();
    now_.checkpoint = input_.checkpoint;
    if (plan_.embedding) {
      TRY(now_.checkpoint, with_normed_embedding(input_.checkpoint));
    }
    if (measures) {
      const Checkpoint checkpoint = now_.checkpoint;
      TRY(now_, RunningModel::open(checkpoint, plan_.embedding ? nullptr : input_.pages));
      TRY_VOID(gather_text());
      TRY_VOID(measure_before());
    }
    if (plan_.embedding) TRY_VOID(report_embedding());
    if (plan_.restructures() || plan_.scales > 0) TRY_VOID(change_structure());
    if (plan_.allocates()) TRY_VOID(find_choices());
    for (;;) {
      TRY_VOID(encode());
      if (plan_.entropy) {
        TRY(const bool again, search_steps());
        if (again) continue;
      }
      if (measures) TRY_VOID(measure());
      TRY(const bool again, aim_lower());
      if (!again) break;
    }
    return std::move(result_);
  }

 private:
  void report(double share, std::string_view what) const {
    if (input_.progress) input_.progress(share, what);
  }

  Result<void> gather_text();
  void cut_text();
  Result<void> report_embedding();
  Result<void> find_choices();
  void count_fixed();
  Budget budget() const;
  tl::unexpected<Error> too_small_a_budget() const;
  Result<void> choose_formats();
  Result<bool> aim_lower();
  void ask_for_bits(double bits, double loss_step);
  Result<bool> search_steps();
  bool surveys() const { return !plan_.entropy->format && run_formats_.empty(); }
  Result<void> choose_run_formats();
  void note_steps(const PlannedEncoder& encoder);
  void use_steps(PlannedEncoder::Options& options) const;
  Result<void> encode();
  Result<void> change_structure();
  Result<double> perplexity(const Model& model, double from);
  Result<void> measure_before();
  Result<void> measure();
  void report_quantizing();
  std::vector<std::string> techniques() const;
  std::string grid_id() const;
  Format embedding_format() const { return plan_.embedding->format.value_or(Format::kQ8); }

  const PressInput& input_;
  const CompressionPlan& plan_;
  RunningModel now_;  // what is left to quantize; without pages where nothing has to run
  std::optional<double> before_;  // perplexity
  CalibrationText text_;
  std::vector<TokenId> held_out_;
  std::uint64_t weights_ = 0;  // of all tensors
  std::uint64_t embedding_weights_ = 0;
  std::uint64_t fixed_bytes_ = 0;  // of tensors that no budget changes
  std::vector<MatrixChoices> choices_;
  int missed_ = 0;             // losses larger than planned
  std::optional<double> aim_;  // predicted loss to reach
  std::optional<Allocation> allocation_;
  std::optional<OutputImportance> importance_;  // of a plan with entropy; so are these:
  std::optional<StepSearch> search_;
  double coded_bits_ = 0;  // that it searches for
  std::map<std::string, Format, std::less<>> run_formats_;
  std::map<std::string, SteppedMatrix, std::less<>> stepped_;
  int surveys_ = 0;
  std::size_t done_ = 0;  // matrices
  PressResult result_;
};

// Windows spread evenly over the first part of the file; what follows is held out.
void Pressing::cut_text() {
  const std::size_t all = input_.text.size();
  const std::size_t part = input_.held_out.empty() ? all / 4 * 3 : all;
  const std::size_t wanted = std::min<std::size_t>(plan_.calibration_ids, part);
  const std::size_t windows = std::max<std::size_t>(wanted / kContext, 1);
  text_.context = kContext;
  text_.origin = plan_.calibration;
  for (std::size_t i = 0; i < windows; ++i) {
    const std::size_t length = std::min<std::size_t>(kContext, part);
    const std::size_t first = (part - length) / windows * i;
    const auto window = input_.text.subspan(first, length);
    text_.ids.insert(text_.ids.end(), window.begin(), window.end());
  }
  if (!input_.held_out.empty()) return;
  const auto rest = input_.text.subspan(part);
  const auto some = rest.first(std::min<std::size_t>(rest.size(), plan_.held_out_ids));
  held_out_.assign(some.begin(), some.end());
}

Result<void> Pressing::gather_text() {
  held_out_.assign(input_.held_out.begin(), input_.held_out.end());
  if (!plan_.calibrates()) return {};
  if (!plan_.calibration.empty() || !input_.text.empty()) {
    if (input_.text.size() < kFewestTextIds) {
      return fail(Errc::kUsage,
                  "the calibration text has " + std::to_string(input_.text.size()) +
                      " ids, too few to learn from",
                  plan_.calibration,
                  "give at least " + std::to_string(kFewestTextIds) + ", better " +
                      std::to_string(plan_.calibration_ids));
    }
    cut_text();
  } else {
    report(0, "sampling a text from the model");
    const std::uint32_t windows = std::max(plan_.calibration_ids / kContext, 1U);
    const std::uint32_t held = held_out_.empty() ? plan_.held_out_ids / kContext : 0;
    TRY(text_, sample_text(*now_.model, input_.parallel, windows + held, kContext, kSamplingSeed));
    const auto kept = static_cast<std::ptrdiff_t>(windows) * kContext;
    held_out_.insert(held_out_.end(), text_.ids.begin() + kept, text_.ids.end());
    text_.ids.resize(static_cast<std::size_t>(kept));
  }
  if (plan_.entropy) {
    // All of the text tells how often ids come, not only what is calibrated on.
    const auto ids = input_.text.empty() ? std::span<const TokenId>(text_.ids) : input_.text;
    importance_.emplace(input_.held_out.empty() ? ids.first(ids.size() / 4 * 3) : ids,
                        now_.model->config().vocab);
  }
  result_.calibration = text_.origin + ", " + std::to_string(text_.ids.size()) + " ids";
  return {};
}

// What folding and rounding the embedding alone does.
Result<void> Pressing::report_embedding() {
  KeepingEncoder encoder(now_.checkpoint, {{"emb.weight", embedding_format()}});
  TRY(const auto folded, convert(now_.checkpoint, {.encoder = &encoder, .hash_pages = false}));
  TechniqueReport told{.name = "embedding"};
  TRY(told.bytes_before, bytes_as_kept(input_.checkpoint));
  told.bytes_after = bytes_without_derived(*folded);
  if (before_) {
    told.perplexity_before = before_;
    TRY(const auto model, Model::open(*folded));
    TRY(told.perplexity_after, perplexity(*model, 0.02));
  }
  result_.techniques.push_back(std::move(told));
  return {};
}

Result<void> Pressing::change_structure() {
  RestructureOptions options{.plan = plan_, .text = text_, .parallel = input_.parallel};
  options.before = before_;
  options.perplexity = [&](const Model& model) { return perplexity(model, 0.02); };
  options.progress = [&](double, std::string_view what) { report(0.02, what); };
  return restructure(now_, options, result_);
}

void Pressing::count_fixed() {
  const bool resident = plan_.counted() == Counted::kResident;
  for (const TensorEntry& tensor : now_.pages->manifest().tensors) {
    const std::uint64_t weights = std::uint64_t{tensor.rows} * tensor.cols;
    weights_ += weights;
    if (tensor.name == "emb.weight") embedding_weights_ = weights;
    if (can_be_quantized(tensor.name, tensor.shape)) continue;
    fixed_bytes_ += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  if (plan_.embedding && plan_.embedding->format) {
    for (MatrixChoices& matrix : choices_) {
      if (matrix.name != "emb.weight") continue;
      std::erase_if(matrix.choices, [&](const FormatChoice& choice) {
        return choice.format != *plan_.embedding->format;
      });
    }
  }
  if (!resident) return;
  // What stays on disk is free, so it gets the best that is a compression.
  for (MatrixChoices& matrix : choices_) {
    if (matrix.name != "emb.weight") continue;
    std::erase_if(matrix.choices,
                  [](const FormatChoice& choice) { return !is_quantized(choice.format); });
    for (FormatChoice& choice : matrix.choices) choice.bytes = 0;
  }
}

Budget Pressing::budget() const {
  Budget budget{.most_bytes = plan_.memory_budget, .most_loss = aim_};
  if (plan_.bits_per_weight) {
    budget.most_bytes =
        static_cast<std::uint64_t>(*plan_.bits_per_weight * static_cast<double>(weights_) / 8);
  }
  if (plan_.resident_bits) {
    const auto resident = static_cast<double>(weights_ - embedding_weights_);
    budget.most_bytes = static_cast<std::uint64_t>(*plan_.resident_bits * resident / 8);
  }
  if (budget.most_bytes) {
    const std::uint64_t all = *budget.most_bytes;
    budget.most_bytes = all > fixed_bytes_ ? all - fixed_bytes_ : 0;
  }
  return budget;
}

Result<void> Pressing::find_choices() {
  SensitivityOptions options{
      .ids = plan_.sensitivity_ids, .feedback = plan_.has_feedback(), .damping = plan_.damping};
  options.finished = input_.finished;
  const std::size_t matrices = static_cast<std::size_t>(std::ranges::count_if(
      now_.pages->manifest().tensors,
      [](const TensorEntry& tensor) { return can_be_quantized(tensor.name, tensor.shape); }));
  options.progress = [&](std::string_view tensor) {
    report(0.05 + 0.6 * static_cast<double>(++done_) / static_cast<double>(matrices), tensor);
  };
  if (importance_) {
    options.importance = [&](const TensorEntry& tensor, std::span<const float> values) {
      return importance_->of(tensor, values);
    };
  }
  TRY(choices_, measure_sensitivity(now_.checkpoint, *now_.pages, *now_.model, input_.parallel,
                                    text_, options));
  count_fixed();
  if (plan_.entropy) {
    const double first = kFirstLossStep * std::exp2(kOctaves * (4 - plan_.entropy->bits));
    ask_for_bits(plan_.entropy->bits, first / static_cast<double>(weights_));
    return {};
  }
  aim_ = plan_.most_loss;
  return choose_formats();
}

void Pressing::ask_for_bits(double bits, double loss_step) {
  coded_bits_ = bits;
  search_.emplace(bits, loss_step);
}

tl::unexpected<Error> Pressing::too_small_a_budget() const {
  std::uint64_t least = fixed_bytes_;
  for (const MatrixChoices& matrix : choices_) least += matrix.choices.front().bytes;
  const bool memory = plan_.counted() == Counted::kResident;
  const double bits = 8.0 * static_cast<double>(least) / static_cast<double>(weights_);
  return fail(Errc::kOutOfRoom, "the model does not fit that budget",
              memory ? "--memory-budget" : "--bits-per-weight",
              "the smallest that can be met is " +
                  (memory ? std::to_string(least) + " bytes" : bits_text(bits) + " bits"));
}

Result<void> Pressing::choose_formats() {
  auto allocated = allocate(choices_, budget());
  if (!allocated) return too_small_a_budget();
  allocation_ = std::move(*allocated);
  result_.predicted_loss = allocation_->loss;
  return {};
}

// A loss that turned out larger than it may be is aimed at anew, lower by as much as it was
// missed, or with more bits once coded (two of which divide it by sixteen); false: it is met, or
// more bits are not to be had.
Result<bool> Pressing::aim_lower() {
  if (!plan_.most_loss || !result_.measured) return false;
  const double loss =
      std::log(result_.measured->perplexity_after / result_.measured->perplexity_before);
  result_.budget_met = loss <= *plan_.most_loss;
  if (*result_.budget_met || missed_++ == kMostAttempts) return false;
  if (plan_.entropy) {
    const double more = std::clamp(std::log2(loss / *plan_.most_loss) / 2, kFewestMoreBits, 1.0);
    ask_for_bits(coded_bits_ + more, search_->loss_step() * std::exp2(-kOctaves * more));
    return true;
  }
  const Allocation before = *allocation_;
  aim_ = std::min(before.loss, *aim_) * std::clamp(*plan_.most_loss / loss, 0.25, 0.8);
  TRY_VOID(choose_formats());
  return allocation_->formats != before.formats;
}

// Bits once coded are what was asked for, or steps are chosen anew. Encodings into a wide format,
// until one has about these bits, show what narrower ones would cost.
Result<bool> Pressing::search_steps() {
  TRY(const std::uint64_t bytes, coded_bytes(*result_.artifact));
  result_.coded_bits = 8.0 * static_cast<double>(bytes) / static_cast<double>(weights_);
  if (!surveys()) return search_->take(*result_.coded_bits);
  const bool far = std::fabs(*result_.coded_bits - coded_bits_) > kFarFromBits;
  if (!far || ++surveys_ == kMostSurveys) TRY_VOID(choose_run_formats());
  TRY_VOID(search_->take(*result_.coded_bits));
  if (!surveys()) search_->forget();
  return true;
}

Result<void> Pressing::choose_run_formats() {
  std::optional<std::uint64_t> more;
  if (const Budget most = budget(); most.most_bytes) {
    std::uint64_t least = 0;
    for (const MatrixChoices& matrix : choices_) least += matrix.choices.front().bytes;
    if (least > *most.most_bytes) return too_small_a_budget();
    more = *most.most_bytes - least;
  }
  run_formats_ = skein::choose_run_formats(
      stepped_, search_->loss_step(), more,
      plan_.counted() == Counted::kResident ? "emb.weight" : std::string_view());
  return {};
}

void Pressing::note_steps(const PlannedEncoder& encoder) {
  stepped_ = encoder.stepped();
  result_.predicted_loss = 0;
  for (TensorReport& tensor : result_.tensors) {
    const auto stepped = stepped_.find(tensor.name);
    if (stepped == stepped_.end()) continue;
    tensor.coded_bytes = stepped->second.coded_bytes;
    tensor.predicted_loss = tensor.alpha.value_or(0) * stepped->second.squared_error;
    *result_.predicted_loss += *tensor.predicted_loss;
  }
}

std::vector<std::string> Pressing::techniques() const {
  std::vector<std::string> out = plan_.structure_techniques();
  if (!plan_.quantizes) return out;
  out.push_back(allocation_ || !run_formats_.empty() ? "mixed"
                                                     : std::string(name_of(plan_.format)));
  if (plan_.has_feedback()) out.push_back("gptq");
  if (plan_.scales > 0) out.emplace_back("scales");
  if (plan_.entropy) out.emplace_back("entropy");
  if (!plan_.preset.empty()) out.push_back(plan_.preset);
  return out;
}

std::string Pressing::grid_id() const {
  if (plan_.entropy) return "uniform-g32-v1";
  const bool simple = !allocation_ && !plan_.has_feedback();
  return (allocation_ ? "mixed" : std::string(name_of(plan_.format))) +
         (!allocation_ && plan_.format == Format::kQ8 ? "-g32-sym-v1" : "-g32-zero-v1") +
         (simple ? "" : "-fitted");
}

void Pressing::use_steps(PlannedEncoder::Options& options) const {
  options.formats = run_formats_;
  options.otherwise = plan_.entropy->format.value_or(Format::kQ6);
  options.importance = &*importance_;
  options.steps = {.loss_step = search_->loss_step(),
                   .exponent = plan_.entropy->exponent,
                   .price = plan_.entropy->price,
                   .survey = surveys()};
  for (const MatrixChoices& matrix : choices_) options.steps->alphas[matrix.name] = matrix.alpha;
}

Result<void> Pressing::encode() {
  PlannedEncoder::Options options{.otherwise = plan_.format, .damping = plan_.damping};
  if (allocation_) options.formats = allocation_->formats;
  options.feedback = plan_.has_feedback();
  if (plan_.entropy) use_steps(options);
  const bool chosen = plan_.allocates() && !(plan_.embedding && plan_.embedding->format);
  if (plan_.embedding && !chosen) options.formats["emb.weight"] = embedding_format();
  options.finished = input_.finished;
  const bool compensates = plan_.low_rank && plan_.low_rank->compensate;
  if (compensates) {
    options.residual = plan_.low_rank;
    TRY(options.targets, targets_of(*plan_.low_rank, now_.checkpoint));
  }
  const double from = plan_.allocates() ? 0.65 : 0.05;
  std::size_t encoded = 0;
  const auto total = static_cast<double>(now_.checkpoint.tensors.size());
  options.progress = [&](std::string_view tensor) {
    report(from + (0.8 - from) * static_cast<double>(++encoded) / total, tensor);
  };
  std::optional<CalibrationPass> pass;
  if (plan_.quantizes && (plan_.has_feedback() || compensates || plan_.entropy)) {
    pass.emplace(*now_.model, input_.parallel, text_);
    TRY_VOID(pass->begin());
  }
  PlannedEncoder encoder(std::move(options), pass ? &*pass : nullptr, input_.parallel);
  ConvertOptions convert_options = input_.convert;
  convert_options.techniques = techniques();
  if (plan_.quantizes) {
    convert_options.encoder = &encoder;
    convert_options.grid_id = grid_id();
  }
  std::optional<KeepingEncoder> keeping;
  if (plan_.embedding && !plan_.quantizes) {
    keeping.emplace(now_.checkpoint,
                    std::map<std::string, Format, std::less<>>{{"emb.weight", embedding_format()}});
    convert_options.encoder = &*keeping;
  }
  TRY(result_.artifact, convert(now_.checkpoint, convert_options));
  TRY(result_.tensors, compare(input_.checkpoint, now_.checkpoint, *result_.artifact));
  for (TensorReport& tensor : result_.tensors) {
    tensor.output_error = encoder.output_error(tensor.name);
    const auto matrix = std::ranges::find(choices_, tensor.name, &MatrixChoices::name);
    if (matrix == choices_.end()) continue;
    tensor.alpha = matrix->alpha;
    for (const FormatChoice& choice : matrix->choices) {
      if (choice.format == tensor.format) tensor.predicted_loss = choice.loss;
    }
  }
  if (plan_.entropy) note_steps(encoder);
  return {};
}

Result<double> Pressing::perplexity(const Model& model, double from) {
  const EvalProgress progress = [&](std::uint64_t done) {
    const double share = static_cast<double>(done) / static_cast<double>(held_out_.size());
    report(from + 0.1 * share, "measuring the loss");
    return true;
  };
  TRY(const EvalResult found, evaluate(model, input_.parallel, held_out_, kContext, progress));
  return std::exp(found.nll / static_cast<double>(found.tokens));
}

Result<void> Pressing::measure_before() {
  if (held_out_.empty()) return {};
  before_ = input_.perplexity_before;
  if (!before_) {
    TRY(before_, perplexity(*now_.model, 0));
  }
  return {};
}

Result<void> Pressing::measure() {
  if (held_out_.empty()) return {};
  MeasuredLoss loss{.ids = held_out_.size(), .perplexity_before = *before_};
  const bool last_is_all = !(plan_.embedding && plan_.restructures());
  if (!plan_.quantizes && !result_.techniques.empty() && last_is_all) {
    loss.perplexity_after = *result_.techniques.back().perplexity_after;
  } else {
    TRY(const auto pressed, Model::open(*result_.artifact));
    TRY(loss.perplexity_after, perplexity(*pressed, 0.9));
  }
  result_.measured = loss;
  report_quantizing();
  std::ostringstream note;
  note << std::fixed << std::setprecision(6) << "perplexity " << loss.perplexity_after << " (was "
       << loss.perplexity_before << ", " << loss.ids << " ids held out)";
  result_.artifact->note(note.str());
  return {};
}

// Once more where the loss is aimed at anew.
void Pressing::report_quantizing() {
  if (!plan_.quantizes) return;
  std::erase_if(result_.techniques,
                [](const TechniqueReport& technique) { return technique.name == "quantize"; });
  TechniqueReport told{.name = "quantize", .bytes_before = now_.bytes()};
  for (const TensorEntry& tensor : result_.artifact->manifest().tensors) {
    told.bytes_after += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  told.perplexity_before = before_;
  if (!result_.techniques.empty()) {
    told.perplexity_before = result_.techniques.back().perplexity_after;
  }
  told.perplexity_after = result_.measured->perplexity_after;
  result_.techniques.push_back(std::move(told));
}

}  // namespace

Result<PressResult> press_weights(const PressInput& input, const CompressionPlan& plan) {
  return Pressing(input, plan).run();
}

}  // namespace skein
