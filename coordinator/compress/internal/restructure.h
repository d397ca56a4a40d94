// Restructure: the techniques of a plan that change a model's structure, in their order: neurons
// go, then matrices are told by their factors. One thread, which lends others through Parallel.
#pragma once

#include "common/checkpoint/checkpoint.h"
#include "coordinator/compress/compression_plan.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/press.h"

namespace skein {

// A model at one point of a compression: its tensors, the same as pages, and ready to run.
struct RunningModel {
  Checkpoint checkpoint;  // views; what owns them outlives this
  std::unique_ptr<MemoryArtifact> converted;
  PageSource* pages = nullptr;
  std::unique_ptr<Model> model;

  // `pages` hold the same tensors, or nullptr: they are made.
  static Result<RunningModel> open(const Checkpoint& checkpoint, PageSource* pages);
  std::uint64_t bytes() const;  // of all tensors
};

struct RestructureOptions {
  const CompressionPlan& plan;
  const CalibrationText& text;
  Parallel& parallel;
  std::optional<double> before = {};  // perplexity; nullopt: it is not measured
  std::function<Result<double>(const Model&)> perplexity = {};
  std::function<void(double share, std::string_view what)> progress = {};
};

// Changes `now`, and reports in `result` (techniques, pruned). A technique that fails leaves what
// the ones before it made. Errc::kUsage: a target that the model does not have.
Result<void> restructure(RunningModel& now, const RestructureOptions& options, PressResult& result);

}  // namespace skein
