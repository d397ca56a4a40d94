// Press: any model, squeezed into a new artifact's pages as a CompressionPlan says. Deterministic:
// the same model, plan and texts give the same pages for any number of threads. Takes minutes; any
// one thread, which lends others through Parallel.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/convert/convert.h"
#include "common/model/model.h"
#include "coordinator/compress/compression_plan.h"

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

struct PressResult {
  std::unique_ptr<MemoryArtifact> artifact;
  std::vector<TensorReport> tensors;
  std::string calibration;  // what was calibrated on; "" = nothing
  std::optional<double> predicted_loss;
  std::optional<double> coded_bits;  // a weight, all tensors, once entropy coded
  std::optional<MeasuredLoss> measured;
  std::optional<bool> budget_met;  // of a plan with a budget of loss: whether the measured one is
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
// Errc::kUsage: too little text.
Result<PressResult> press(const PressInput& input, const CompressionPlan& plan);

}  // namespace skein
