#include "coordinator/compress/internal/sparsity_stage.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "common/model/weights.h"
#include "coordinator/compress/internal/learned_text.h"
#include "coordinator/compress/internal/neuron_order.h"
#include "coordinator/compress/internal/predictor_training.h"
#include "coordinator/compress/internal/silence.h"

namespace skein {
namespace {

constexpr std::uint32_t kMeasuredWindows = 8;

std::vector<MatrixView> keys_of(const Model& model) {
  std::vector<MatrixView> keys;
  for (const LayerWeights& layer : model.weights().layers) keys.push_back(layer.ffn.key.view());
  return keys;
}

Result<double> perplexity_of(const Model& model, Parallel& parallel,
                             std::span<const TokenId> held_out) {
  TRY(const EvalResult found, loss_of(model, parallel, held_out));
  return std::exp(found.nll / static_cast<double>(found.tokens));
}

std::uint64_t bytes_of(const PageSource& pages) {
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : pages.manifest().tensors) {
    bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  return bytes;
}

std::string number(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

class SparsityStage {
 public:
  SparsityStage(const PressInput& input, const CompressionPlan& plan)
      : input_(input), plan_(plan) {}

  Result<PressResult> run(const PressRest& rest) {
    TRY_VOID(open_source());
    TRY_VOID(gather_text());
    TRY(const SparsityReport before, measure_sparsity(*pages_, measured_, input_.parallel));
    TRY(before_, perplexity_of(*model_, input_.parallel, text_.held_out));
    TRY_VOID(press_rest(rest));
    TechniqueReport told{.name = "sparsity", .bytes_before = bytes_of(*result_.artifact)};
    told.perplexity_before = result_.measured ? result_.measured->perplexity_after : before_;
    if (plan_.sparsity.order) result_.artifact->note("sparsity-order");
    if (plan_.sparsity.cett > 0) {
      TRY_VOID(add_thresholds());
    }
    if (!plan_.sparsity.predictor.empty()) {
      TRY_VOID(add_predictor());
    }
    TRY_VOID(measure(before));
    told.bytes_after = bytes_of(*result_.artifact);
    told.perplexity_after = result_.measured->perplexity_after;
    result_.techniques.push_back(std::move(told));
    return std::move(result_);
  }

 private:
  Result<void> open_source() {
    pages_ = input_.pages;
    if (pages_ == nullptr) {
      TRY(converted_, convert(input_.checkpoint, {.hash_pages = false}));
      pages_ = converted_.get();
    }
    TRY(model_, Model::open(*pages_));
    const bool reads_all = std::ranges::any_of(
        model_->weights().layers,
        [](const LayerWeights& layer) { return layer.ffn.value.rows.is_absent(); });
    if (!reads_all) return {};
    return fail(Errc::kUsage, "the model's value matrices are not stored neuron by neuron",
                "--only sparsity", "import the checkpoint again");
  }

  void report(double share, std::string_view what) const {
    if (input_.progress) input_.progress(share, what);
  }

  Result<void> gather_text();
  Result<Checkpoint> in_order();
  Result<void> press_rest(const PressRest& rest);
  Result<void> add(std::span<const TrainedPart> parts, std::string technique);
  Result<void> add_thresholds();
  Result<void> add_predictor();
  Result<void> measure(const SparsityReport& before);

  const PressInput& input_;
  const CompressionPlan& plan_;
  std::unique_ptr<MemoryArtifact> converted_;
  PageSource* pages_ = nullptr;
  std::unique_ptr<Model> model_;
  LearnedText text_;
  CalibrationText measured_;  // some of what is held out
  double before_ = 0;         // perplexity
  PressResult result_;
};

Result<void> SparsityStage::gather_text() {
  const std::uint32_t windows =
      std::clamp(plan_.calibration_ids / kTextContext, 1U, kMostActivityWindows);
  if (plan_.calibration.empty()) report(0, "sampling a text from the model");
  TRY(text_, LearnedText::gather(input_, plan_, *model_, windows, kMeasuredWindows));
  measured_ = windows_of(text_.held_out, kMeasuredWindows, "held out");
  return {};
}

Result<Checkpoint> SparsityStage::in_order() {
  if (!plan_.sparsity.order) return input_.checkpoint;
  ActivityPass pass(*model_, input_.parallel, text_.text);
  TRY_VOID(pass.begin());
  std::vector<std::vector<std::uint32_t>> orders;
  for (std::uint32_t layer = 0; layer < model_->config().layers; ++layer) {
    report(0.02, "ordering neurons");
    orders.push_back(hot_first_order(pass.run_layer(), input_.parallel));
  }
  return reordered(input_.checkpoint, orders);
}

// The other techniques; where there are none, every tensor as it is.
Result<void> SparsityStage::press_rest(const PressRest& rest) {
  TRY(const Checkpoint checkpoint, in_order());
  report(0.05, "pressing");
  PressInput next{.checkpoint = checkpoint,
                  .convert = input_.convert,
                  .text = {},
                  .held_out = {},
                  .parallel = input_.parallel,
                  .pages = pages_,
                  .perplexity_before = before_,
                  .progress = input_.progress};
  if (plan_.calibrates()) next.text = text_.learned;
  if (plan_.quantizes || plan_.restructures() || plan_.embedding) next.held_out = text_.held_out;
  if (plan_.sparsity.order) {  // these tensors are in no pages yet; the old ones have served
    next.pages = nullptr;
    model_.reset();
    converted_.reset();
  }
  TRY(result_, rest(next));
  result_.calibration = text_.text.origin + ", " + std::to_string(text_.text.ids.size()) + " ids";
  return {};
}

Result<void> SparsityStage::add(std::span<const TrainedPart> parts, std::string technique) {
  std::vector<Buffer> storage;
  const std::vector<CheckpointTensor> tensors = tensors_of(parts, storage);
  const std::string version = result_.artifact->manifest().version;
  TRY(result_.artifact,
      with_tensors(*result_.artifact, tensors, version, std::move(technique), std::nullopt));
  return {};
}

Result<void> SparsityStage::add_thresholds() {
  TRY(const auto model, Model::open(*result_.artifact));
  ActivityPass pass(*model, input_.parallel, text_.text);
  TRY_VOID(pass.begin());
  std::vector<TrainedPart> parts;
  for (std::uint32_t layer = 0; layer < model->config().layers; ++layer) {
    report(0.8, "finding thresholds");
    const LayerActivity& activity = pass.run_layer();
    parts.push_back(
        {.name = "blocks." + std::to_string(layer) + "." + std::string(kValueThresholds),
         .values = thresholds_within(activity, value_rows_of(*model, layer), plan_.sparsity.cett)});
  }
  return add(parts, "sparsity-cett " + number(plan_.sparsity.cett, 3));
}

Result<void> SparsityStage::add_predictor() {
  TRY(const auto model, Model::open(*result_.artifact));
  ActivityPass pass(*model, input_.parallel, text_.text);
  TRY_VOID(pass.begin());
  const TrainingOptions options{.kinds = plan_.sparsity.predictor};
  std::vector<TrainedPart> parts;
  for (std::uint32_t layer = 0; layer < model->config().layers; ++layer) {
    report(0.85, "training the predictor of neurons");
    const LayerActivity& activity = pass.run_layer();
    auto trained = train_predictor(activity, key_of(*model, layer), options, input_.parallel);
    std::ranges::move(trained, std::back_inserter(parts));
  }
  std::string kinds;
  for (const ScoreKind kind : options.kinds) {
    kinds += (kinds.empty() ? "" : "+") + std::string(name_of(kind));
  }
  return add(parts, "sparsity-predictor " + kinds);
}

Result<void> SparsityStage::measure(const SparsityReport& before) {
  report(0.95, "measuring");
  TRY(SparsityReport after, measure_sparsity(*result_.artifact, measured_, input_.parallel));
  after.cett = plan_.sparsity.cett;
  after.ordered = plan_.sparsity.order;
  for (std::size_t i = 0; i < after.layers.size(); ++i) {
    after.layers[i].zero_rate_before = before.layers[i].zero_rate;
    after.layers[i].blocks_touched_before = before.layers[i].blocks_touched;
  }
  result_.sparsity = std::move(after);
  MeasuredLoss loss{.ids = text_.held_out.size(), .perplexity_before = before_};
  if (result_.measured && plan_.sparsity.cett == 0) {  // a predictor changes no bit
    loss.perplexity_after = result_.measured->perplexity_after;
  } else {
    TRY(const auto pressed, Model::open(*result_.artifact));
    TRY(loss.perplexity_after, perplexity_of(*pressed, input_.parallel, text_.held_out));
  }
  result_.measured = loss;
  result_.artifact->note("perplexity " + number(loss.perplexity_after, 6) + " (was " +
                         number(loss.perplexity_before, 6) + ", " + std::to_string(loss.ids) +
                         " ids held out)");
  return {};
}

struct Measured {
  const LayerActivity& activity;
  const RowMatrix& values;
};

// Scores every token as a device would, window by window.
void measure_predictor(NeuronPredictor& predictor, const Measured& what, LayerSparsity& to) {
  const LayerActivity& activity = what.activity;
  const auto neurons = static_cast<std::uint32_t>(activity.fired.cols());
  const auto width = static_cast<std::size_t>(activity.residual.cols());
  const Eigen::VectorXf lengths = what.values.rowwise().norm();
  const std::vector<bool> every(neurons, true);
  const std::vector<bool> cold = colder_half(activity.fired);
  std::vector<RecentNeurons> recent(activity.windows, RecentNeurons(neurons));
  std::vector<float> scores(neurons);
  const LayerIndex layer(activity.layer);
  using Among = NeuronPredictor::Among;
  const float cut = predictor.cut(layer, kReportedRecall, Among::kAll);
  const float cold_cut = predictor.cut(layer, kReportedRecall, Among::kCold);
  QualityCount all;
  QualityCount colder;
  for (std::uint32_t row = 0; row < activity.tokens(); ++row) {
    RecentNeurons& last = recent[row % activity.windows];
    const std::span<const float> fired(activity.fired.row(row).data(), neurons);
    predictor.score({.layer = layer,
                     .residual = {activity.residual.row(row).data(), width},
                     .shift = {activity.shift.row(row).data(), width},
                     .recency = last.recency()},
                    scores);
    const std::span<const float> sizes(lengths.data(), neurons);
    all.add(scores, cut, fired, sizes, every);
    colder.add(scores, cold_cut, fired, sizes, cold);
    last.fired(fired);
  }
  to.all = {all.recall(), all.precision(), all.energy()};
  to.cold = {colder.recall(), colder.precision(), colder.energy()};
}

// What the thresholds took away, over what there was without them.
double truncated(const Model& model, const LayerActivity& activity, const RowMatrix& values) {
  const std::vector<float>& thresholds = model.weights().layers[activity.layer].ffn.thresholds;
  if (thresholds.empty()) return 0;
  RowMatrix h = activity.input * key_of(model, activity.layer).transpose();
  h = h.cwiseMax(0.0F).array().square().matrix();
  double sum = 0;
  for (Eigen::Index i = 0; i < h.rows(); ++i) {
    Eigen::RowVectorXf tail = h.row(i);
    for (Eigen::Index j = 0; j < tail.size(); ++j) {
      if (tail[j] >= thresholds[static_cast<std::size_t>(j)]) tail[j] = 0;
    }
    const float whole = (h.row(i) * values).norm();
    if (whole > 0) sum += static_cast<double>((tail * values).norm() / whole);
  }
  return sum / static_cast<double>(h.rows());
}

}  // namespace

RowMatrix key_of(const Model& model, std::uint32_t layer) {
  return floats_of(model.weights().layers[layer].ffn.key.view());
}

Result<SparsityReport> measure_sparsity(PageSource& pages, const CalibrationText& text,
                                        Parallel& parallel) {
  TRY(const auto model, Model::open(pages));
  TRY(const auto predictor, NeuronPredictor::open(pages, keys_of(*model)));
  SparsityReport report;
  if (predictor) {
    report.predictor_bytes = predictor->bytes();
    for (const ScoreKind kind : predictor->kinds()) {
      report.predictor += (report.predictor.empty() ? "" : "+") + std::string(name_of(kind));
    }
  }
  ActivityPass pass(*model, parallel, text);
  TRY_VOID(pass.begin());
  for (std::uint32_t layer = 0; layer < model->config().layers; ++layer) {
    const LayerActivity& activity = pass.run_layer();
    const RowMatrix values = value_rows_of(*model, layer);
    const Matrix& rows = model->weights().layers[layer].ffn.value.rows;
    const std::uint64_t row_bytes = stored_bytes(rows.view().format, Layout::kRows, 1, rows.cols());
    const BlockTouches blocks = block_touches(activity, {}, row_bytes);
    LayerSparsity& to = report.layers.emplace_back();
    to.zero_rate = activity.zero_rate();
    to.tail_truncation = truncated(*model, activity, values);
    to.hot_quarter = hot_quarter_share(activity);
    to.value_bytes = (1 - to.zero_rate) * static_cast<double>(row_bytes) * rows.rows();
    to.blocks_touched = blocks.touched;
    to.blocks = blocks.blocks;
    if (predictor) measure_predictor(*predictor, {activity, values}, to);
  }
  return report;
}

Result<PressResult> press_sparse(const PressInput& input, const CompressionPlan& plan,
                                 const PressRest& rest) {
  return SparsityStage(input, plan).run(rest);
}

}  // namespace skein
