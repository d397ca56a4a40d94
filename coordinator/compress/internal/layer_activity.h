// ActivityPass: what a model's neurons do over a text, and what was known of it before: for
// predictors, thresholds and the order of neurons. One layer's rows are alive at a time: some ten
// widths of floats a token. One thread, which lends others through Parallel.
#pragma once

#include <Eigen/Core>

#include "common/model/model.h"
#include "coordinator/compress/internal/calibration_pass.h"

namespace skein {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows are tokens: all windows' first, then all windows' second, and so on, so that the row of a
// window's token before is `windows` rows up.
struct LayerActivity {
  std::uint32_t layer = 0;
  std::uint32_t windows = 0;
  RowMatrix residual;  // (tokens, width): what enters the layer
  RowMatrix shift;     // (tokens, width): the channel mix's shift state before the token
  RowMatrix input;     // (tokens, width): what the key matrix multiplies
  RowMatrix fired;     // (tokens, neurons): neurons' values, zero where silent

  std::uint32_t tokens() const { return static_cast<std::uint32_t>(fired.rows()); }
  // Silent neurons among all.
  double zero_rate() const;
};

// More windows would not fit one pass over the weights.
inline constexpr std::uint32_t kMostActivityWindows = kMostRows;

class ActivityPass {
 public:
  // All outlive it. text.ids: whole windows, at most kMostActivityWindows.
  ActivityPass(const Model& model, Parallel& parallel, const CalibrationText& text);

  Result<void> begin();  // before layer 0
  // Runs the next layer over all tokens.
  const LayerActivity& run_layer();

 private:
  const Model& model_;
  const CalibrationText& text_;
  Runner runner_;
  std::uint32_t windows_;
  Activation all_;
  LayerActivity activity_;
  std::uint32_t next_ = 0;
};

// A matrix of a model as floats, (rows, cols), as it is multiplied.
RowMatrix floats_of(const MatrixView& view);

}  // namespace skein
