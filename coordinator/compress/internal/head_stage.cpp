#include "coordinator/compress/internal/head_stage.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "common/base/check.h"
#include "common/model/weights.h"
#include "coordinator/compress/internal/changed_tensor.h"
#include "coordinator/compress/internal/cluster_training.h"
#include "coordinator/compress/internal/head_measure.h"
#include "coordinator/compress/internal/head_order.h"
#include "coordinator/compress/internal/head_sketch.h"
#include "coordinator/compress/internal/learned_text.h"
#include "coordinator/compress/internal/row_clusters.h"

namespace skein {
namespace {

constexpr std::uint32_t kMostWindows = 64;
constexpr std::uint32_t kMeasuredWindows = 4;
constexpr std::uint32_t kDefaultClusters = 200;
constexpr std::uint32_t kTokensACluster = 16;  // of a small vocabulary
constexpr std::uint64_t kSeed = 20251126;

using Method = HeadPlan::Method;

std::uint64_t bytes_of(const PageSource& pages) {
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : pages.manifest().tensors) {
    bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  return bytes;
}

// Matrices whose bytes are there already.
class MadeMatrices final : public MatrixEncoder {
 public:
  void add(const std::string& name, Format format, Buffer bytes) {
    made_[name] = {format, std::move(bytes)};
  }
  Format format_of(std::string_view tensor) override { return at(tensor).format; }
  Result<void> encode(const TensorEntry& tensor, std::span<const float>,
                      MutableByteView out) override {
    CHECK(at(tensor.name).bytes.size() == out.size());
    std::ranges::copy(at(tensor.name).bytes, out.begin());
    return {};
  }

 private:
  struct Made {
    Format format = Format::kF32;
    Buffer bytes;
  };
  const Made& at(std::string_view name) const {
    const auto found = made_.find(name);
    CHECK(found != made_.end());
    return found->second;
  }
  std::map<std::string, Made, std::less<>> made_;
};

std::vector<float> floats_of(std::span<const std::uint32_t> numbers) {
  return {numbers.begin(), numbers.end()};
}

class HeadStage {
 public:
  HeadStage(const PressInput& input, const CompressionPlan& plan)
      : input_(input), plan_(plan), head_(*plan.head) {}

  Result<PressResult> run(const PressRest& rest) {
    TRY_VOID(open_source());
    TRY_VOID(press_rest(rest));
    told_ = {.name = "head", .bytes_before = bytes_of(*result_.artifact)};
    told_.perplexity_before = result_.measured ? result_.measured->perplexity_after : before_;
    TRY(dense_, Model::open(*result_.artifact));
    TRY_VOID(add_shortcuts());
    TRY_VOID(measure());
    result_.techniques.push_back(std::move(told_));
    return std::move(result_);
  }

 private:
  void report(double share, std::string_view what) const {
    if (input_.progress) input_.progress(share, what);
  }

  Result<void> open_source();
  Result<void> check_sizes(const ModelConfig& config);
  Result<void> press_rest(const PressRest& rest);
  Result<void> keep_all();
  Result<void> add_shortcuts();
  void add_screen(const RowMatrix& rows, const RowMatrix& inputs);
  void add_clusters(const RowMatrix& rows, const RowClusters& clusters, const HeadRun& run);
  void add_vector(std::string name, std::span<const float> values, std::uint32_t rows = 1);
  void add_matrix(std::string name, Format format, std::uint32_t cols, Buffer tiles);
  Result<void> measure();

  const PressInput& input_;
  const CompressionPlan& plan_;
  HeadPlan head_;
  std::unique_ptr<MemoryArtifact> converted_;
  PageSource* pages_ = nullptr;
  LearnedText text_;
  double before_ = 0;  // perplexity
  PressResult result_;
  std::unique_ptr<MemoryArtifact> plain_;  // without what spares reading the head
  std::unique_ptr<Model> dense_;           // of it
  std::uint32_t vocab_ = 0;
  std::vector<CheckpointTensor> tensors_;
  MadeMatrices made_;
  TechniqueReport told_;
};

Result<void> HeadStage::check_sizes(const ModelConfig& config) {
  vocab_ = config.vocab;
  if (!head_.clusters) {
    head_.clusters = std::clamp(config.vocab / kTokensACluster, 1U, kDefaultClusters);
  }
  if (!head_.rank) head_.rank = std::max(config.width / 2, 1U);
  if (*head_.clusters > config.vocab) {
    return fail(Errc::kUsage,
                "the vocabulary has " + std::to_string(config.vocab) +
                    " tokens, fewer than there would be clusters",
                "--set head.clusters", "set fewer");
  }
  if (*head_.rank > config.width) {
    return fail(Errc::kUsage,
                "the head has " + std::to_string(config.width) +
                    " inputs, fewer than the rank of its sketch",
                "--set head.rank", "set a lower one");
  }
  head_.most = std::min(head_.most, *head_.clusters);
  head_.least = std::min(head_.least, head_.most);
  return {};
}

Result<void> HeadStage::open_source() {
  pages_ = input_.pages;
  if (pages_ == nullptr) {
    TRY(converted_, convert(input_.checkpoint, {.hash_pages = false}));
    pages_ = converted_.get();
  }
  TRY_VOID(check_sizes(pages_->manifest().config));
  if (plan_.only_head() && find_tensor(pages_->manifest(), kHeadOrder) != nullptr) {
    return fail(Errc::kUsage, "the artifact's head has a screen or clusters already", "--only head",
                "start from the artifact or checkpoint that it was made from");
  }
  TRY(const auto model, Model::open(*pages_));
  if (plan_.calibration.empty()) report(0, "sampling a text from the model");
  const std::uint32_t windows = std::clamp(plan_.calibration_ids / kTextContext, 1U, kMostWindows);
  TRY(text_, LearnedText::gather(input_, plan_, *model, windows, kMeasuredWindows));
  TRY(const EvalResult found, loss_of(*model, input_.parallel, text_.held_out));
  before_ = std::exp(found.nll / static_cast<double>(found.tokens));
  return {};
}

// An artifact as it is, quantized or not.
Result<void> HeadStage::keep_all() {
  const std::string& version = input_.convert.version;
  TRY(result_.artifact,
      with_tensors(*pages_, {}, version.empty() ? pages_->manifest().version : version, "",
                   std::nullopt));
  if (!input_.convert.name.empty()) result_.artifact->set_name(input_.convert.name);
  for (const TensorEntry& tensor : result_.artifact->manifest().tensors) {
    if (is_derived(tensor.name)) continue;
    TensorReport report{.name = tensor.name, .format = tensor.format};
    report.weights = std::uint64_t{tensor.rows} * tensor.cols;
    report.bytes_after = stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
    report.bytes_before = report.bytes_after;
    result_.tensors.push_back(std::move(report));
  }
  return {};
}

Result<void> HeadStage::press_rest(const PressRest& rest) {
  if (plan_.only_head() && input_.pages != nullptr) {
    TRY_VOID(keep_all());
  } else {
    PressInput next = input_;
    next.perplexity_before = before_;
    const bool learns = plan_.calibrates() || plan_.sparsity.any();
    next.text = learns ? text_.learned : std::span<const TokenId>();
    next.held_out = plan_.only_head() ? std::span<const TokenId>() : text_.held_out;
    next.pages = pages_;
    TRY(result_, rest(next));
  }
  converted_.reset();
  pages_ = nullptr;
  result_.calibration = text_.text.origin + ", " + std::to_string(text_.text.ids.size()) + " ids";
  return {};
}

void HeadStage::add_vector(std::string name, std::span<const float> values, std::uint32_t rows) {
  const auto cols = static_cast<std::uint32_t>(values.size() / rows);
  tensors_.push_back(made_tensor({.name = std::move(name), .shape = {rows, cols}}, values));
}

// `tiles`: the stored matrix (vocab, cols).
void HeadStage::add_matrix(std::string name, Format format, std::uint32_t cols, Buffer tiles) {
  std::vector<float> values(std::size_t{vocab_} * cols);
  decode(format, Layout::kTiles, vocab_, cols, tiles, values);
  const Format plain = is_quantized(format) ? Format::kF32 : format;
  tensors_.push_back(made_tensor({.name = name, .shape = {vocab_, cols}, .format = plain}, values));
  made_.add(name, format, std::move(tiles));
}

void HeadStage::add_screen(const RowMatrix& rows, const RowMatrix& inputs) {
  report(0.9, "making the head's screen");
  HeadSketch sketch = make_head_sketch(rows, inputs, {.rank = *head_.rank, .format = head_.format});
  const std::string prefix(kHeadScreen);
  add_matrix(prefix + "sketch", head_.format, *head_.rank, std::move(sketch.stored));
  add_vector(prefix + "basis", {sketch.basis.data(), static_cast<std::size_t>(sketch.basis.size())},
             *head_.rank);
  add_vector(prefix + "inside", sketch.inside);
  add_vector(prefix + "beyond", sketch.beyond);
  add_vector(prefix + "sizes", sketch.sizes);
}

// The clusters' head starts from their centres: a cluster's sum of exponentials grows with the mean
// logit of its tokens, and with their number.
void HeadStage::add_clusters(const RowMatrix& rows, const RowClusters& clusters,
                             const HeadRun& run) {
  report(0.9, "training the head of clusters");
  const std::vector<std::uint32_t> first = clusters.first();
  const auto count = static_cast<Eigen::Index>(first.size() - 1);
  ClusterHead head{RowMatrix(count, rows.cols()), Eigen::RowVectorXf(count)};
  head.weight = clusters.centres;
  for (Eigen::Index j = 0; j < count; ++j) {
    const auto at = static_cast<std::size_t>(j);
    head.bias[j] = static_cast<float>(std::log(static_cast<double>(first[at + 1] - first[at])));
  }
  head = train_cluster_head(run.inputs, run.masses, std::move(head), head_.epochs);
  const std::string prefix(kHeadClusters);
  add_vector(prefix + "weight", {head.weight.data(), static_cast<std::size_t>(head.weight.size())},
             static_cast<std::uint32_t>(count));
  add_vector(prefix + "bias", {head.bias.data(), static_cast<std::size_t>(head.bias.size())});
  add_vector(prefix + "first", floats_of(first));
  const float rule[] = {static_cast<float>(head_.mass), static_cast<float>(head_.least),
                        static_cast<float>(head_.most)};
  add_vector(prefix + "rule", rule);
}

Result<void> HeadStage::add_shortcuts() {
  report(0.85, "clustering the head's rows");
  const RowMatrix rows = head_rows(*dense_);
  const RowClusters clusters = cluster_rows(rows, *head_.clusters, kSeed, input_.parallel);
  const std::vector<std::uint32_t> order = clusters.order();
  const bool screens = head_.method == Method::kScreen;
  HeadRun run(screens ? std::span<const std::uint32_t>() : clusters.of, *head_.clusters);
  TRY_VOID(run.over(*dense_, input_.parallel, text_.text));
  const MatrixView head = dense_->weights().head.view();
  Buffer tiles;
  for (const RowBlock& block : head.blocks) {
    append(tiles,
           ByteView(block.data, stored_bytes(head.format, head.layout, block.rows, head.cols)));
  }
  add_matrix("head.weight", head.format, head.cols,
             reordered_tiles({head.format, head.rows, head.cols}, tiles, order));
  add_vector(std::string(kHeadOrder), floats_of(order));
  if (screens) {
    RowMatrix ordered(rows.rows(), rows.cols());
    for (std::size_t i = 0; i < order.size(); ++i) {
      ordered.row(static_cast<Eigen::Index>(i)) = rows.row(order[i]);
    }
    add_screen(ordered, run.inputs);
  } else {
    add_clusters(rows, clusters, run);
  }
  plain_ = std::move(result_.artifact);
  const std::string technique = "head-" + std::string(name_of(head_.method)) + "-" +
                                std::to_string(screens ? *head_.rank : *head_.clusters);
  TRY(result_.artifact,
      with_tensors(*plain_, tensors_, plain_->manifest().version, technique, std::nullopt, &made_));
  return {};
}

Result<void> HeadStage::measure() {
  report(0.95, "measuring");
  TRY(const auto model, Model::open(*result_.artifact));
  const CalibrationText some = windows_of(text_.held_out, kMeasuredWindows, "held out");
  TRY(HeadReport measured, measure_head(*dense_, *model, input_.parallel, some, head_.method));
  told_.bytes_after = bytes_of(*result_.artifact);
  measured.bytes = told_.bytes_after - told_.bytes_before;
  result_.head = measured;
  MeasuredLoss loss{.ids = text_.held_out.size(), .perplexity_before = before_};
  const bool keeps_bits = head_.method == Method::kScreen;
  if (keeps_bits && result_.measured) {
    loss.perplexity_after = result_.measured->perplexity_after;
  } else if (keeps_bits && plan_.only_head()) {
    loss.perplexity_after = before_;
  } else {
    TRY(const EvalResult found, loss_of(*model, input_.parallel, text_.held_out));
    loss.perplexity_after = std::exp(found.nll / static_cast<double>(found.tokens));
  }
  told_.perplexity_after = loss.perplexity_after;
  result_.measured = loss;
  std::ostringstream note;
  note << std::fixed << std::setprecision(6) << "perplexity " << loss.perplexity_after << " (was "
       << loss.perplexity_before << ", " << loss.ids << " ids held out)";
  result_.artifact->note(note.str());
  return {};
}

}  // namespace

Result<PressResult> press_head(const PressInput& input, const CompressionPlan& plan,
                               const PressRest& rest) {
  return HeadStage(input, plan).run(rest);
}

}  // namespace skein
