// What a model's head is given over a text, and how one with company compares with the dense one.
// One thread, which lends others through Parallel.
#pragma once

#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/internal/layer_activity.h"
#include "coordinator/compress/token_plan.h"

namespace skein {

// The head's rows as floats, as they are multiplied: (vocab, width), as they stand.
RowMatrix head_rows(const Model& model);

// A run of a model over a text: what its head multiplies and, of clusters of its rows, how much of
// the next token's probability each has.
struct HeadRun {
  // of: each token's cluster; empty: only inputs are wanted.
  HeadRun(std::span<const std::uint32_t> of, std::uint32_t clusters)
      : of_(of), clusters_(clusters) {}
  Result<void> over(const Model& model, Parallel& parallel, const CalibrationText& text);

  RowMatrix inputs;  // (tokens, width)
  RowMatrix masses;  // (tokens, clusters)

 private:
  void add_masses(Eigen::Index first, std::span<const float> logits, std::size_t vocab,
                  Parallel& parallel);
  std::span<const std::uint32_t> of_;
  std::uint32_t clusters_;
};

// `model`: the same as `dense` but for what spares reading the head.
Result<HeadReport> measure_head(const Model& dense, const Model& model, Parallel& parallel,
                                const CalibrationText& text, HeadPlan::Method method);

}  // namespace skein
