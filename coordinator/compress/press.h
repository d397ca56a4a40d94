// Press: any model, squeezed into a new artifact's pages as a CompressionPlan says. Deterministic:
// the same model, plan and texts give the same pages for any number of threads. Takes minutes; any
// one thread, which lends others through Parallel.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/convert/convert.h"
#include "common/model/model.h"
#include "coordinator/compress/compression_plan.h"
#include "coordinator/compress/sparsity_report.h"

namespace skein {

// What compression cost one tensor.
struct TensorReport {
  std::string name;
  Format format = Format::kF32;
  std::uint64_t weights = 0;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  double relative_error = 0;                  // ||W' - W|| / ||W||, Frobenius
  std::optional<double> output_error = {};    // the same of W x over the calibration text
  std::optional<double> alpha = {};           // nats a token for each unit of squared output error
  std::optional<double> predicted_loss = {};  // nats a token
  std::optional<std::uint64_t> coded_bytes = {};  // once entropy coded
};

// Perplexity on the held-out ids, windows of 512, as `skein eval` measures it.
struct MeasuredLoss {
  std::uint64_t ids = 0;
  double perplexity_before = 0;
  double perplexity_after = 0;
};

// What pruning left of a layer's channel mix. Errors are of its output over the calibration text,
// relative.
struct PrunedLayer {
  std::uint32_t neurons_before = 0;
  std::uint32_t neurons = 0;
  double output_error = 0;
  std::optional<double> compensated_error = {};
};

// What one technique did to the model that the one before it left. Perplexity as MeasuredLoss has
// it, where there is text to measure on.
struct TechniqueReport {
  std::string name;
  std::uint64_t bytes_before = 0;  // of all tensors
  std::uint64_t bytes_after = 0;
  std::optional<double> perplexity_before = {};
  std::optional<double> perplexity_after = {};
};

struct PressResult {
  std::unique_ptr<MemoryArtifact> artifact;
  std::vector<TensorReport> tensors;
  std::vector<TechniqueReport> techniques;  // in the order in which they were applied
  std::vector<PrunedLayer> pruned;          // layer by layer; empty: nothing was
  // Of matrices told by factors: their outputs' error over the calibration text, relative.
  std::map<std::string, double> factored;
  std::string calibration;  // what was calibrated on; "" = nothing
  std::optional<double> predicted_loss;
  std::optional<double> coded_bits;  // a weight, all tensors, once entropy coded
  std::optional<MeasuredLoss> measured;
  std::optional<SparsityReport> sparsity;
  std::optional<HeadReport> head;
  // Of the preset small: what `skein generate --memory-budget` is to be given, bytes of the whole
  // process: a tenth of the weights in bf16 beside an empty one. None for small models.
  std::optional<std::uint64_t> memory_budget;
  std::optional<bool> budget_met;  // of a plan with a budget of loss: whether the measured one is
};

// What a press has finished, so that after an interruption the next need not do it again. Used on
// the press's own thread.
class FinishedWork {
 public:
  virtual ~FinishedWork() = default;
  // What an earlier run kept under that key, valid as long as this.
  virtual std::optional<ByteView> find(std::string_view key) const = 0;
  // An error means that something kept before could not be written; the press ends with it.
  virtual Result<void> keep(std::string_view key, Buffer value) = 0;
};

// What is to be pressed, and with what. Views; all outlive the call.
struct PressInput {
  const Checkpoint& checkpoint;
  ConvertOptions convert;             // precision is not looked at
  std::span<const TokenId> text;      // ids of the calibration file; empty: the model's own
  std::span<const TokenId> held_out;  // to measure on; empty: what the calibration did not see
  Parallel& parallel;
  // The same tensors as pages that are there already, so that running the model takes no memory of
  // its own; nullptr: they are made.
  PageSource* pages = nullptr;
  FinishedWork* finished = nullptr;              // of this input and plan; nullptr: nothing is kept
  std::optional<double> perplexity_before = {};  // where it is known already
  // share of the work done, and what is being done; called now and then on the calling thread.
  std::function<void(double share, std::string_view what)> progress = {};
};

// A manifest may let tensors share pages: what they would unpack to is bounded by itself.
inline constexpr std::uint64_t kMaxUnpackedBytes = 1ULL << 36;

// An artifact's tensors as a checkpoint again: row-major elements under their official names.
// `storage` owns the bytes that the checkpoint's views point into. Quantized tensors become f32.
Result<Checkpoint> tensors_of(PageSource& pages, std::vector<Buffer>& storage);
// The vocabulary file's bytes that the artifact embeds; empty when it has none.
Result<Buffer> vocabulary_of(PageSource& pages);

// To one precision, rounded to the nearest: what `skein import` does.
Result<PressResult> press(const Checkpoint& checkpoint, const ConvertOptions& options);
// As planned. Errc::kOutOfRoom: a budget that cannot be met, and the smallest that can.
// Errc::kUsage: too little text, or quantized matrices that the plan would make floats again.
Result<PressResult> press(const PressInput& input, const CompressionPlan& plan);

}  // namespace skein
