// Low rank: matrices of time mixing told as two thin ones, and what rounding missed of a matrix
// told so beside it. One thread, which lends others through Parallel.
#pragma once

#include <functional>
#include <map>

#include "common/checkpoint/checkpoint.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/internal/factorization.h"

namespace skein {

struct LowRanked {
  Checkpoint checkpoint;  // with X.left and X.right in the place of matrices X, in their formats
  std::map<std::string, double> output_errors;  // of each X, relative
};

// Which letters a plan means for a model. Errc::kUsage: one that the model does not have, or has as
// factors already.
Result<std::string> targets_of(const LowRankPlan& plan, const Checkpoint& checkpoint);
// "blocks.3.att.key.weight" of layer 3 and 'k'; and back: 0 = a matrix of no letter.
std::string matrix_name(std::uint32_t layer, char target);
char target_of(std::string_view tensor);

// `model` runs `checkpoint`.
Result<LowRanked> factorize_model(const Checkpoint& checkpoint, const Model& model,
                                  Parallel& parallel, const CalibrationText& text,
                                  const LowRankPlan& plan,
                                  const std::function<void(double, std::string_view)>& progress);

// Factors for what is missing of W (`values`) in its rounded form, if the plan wants them: X.right
// and X.left, bf16.
struct MissedPart {
  std::string_view name = {};  // X
  DenseMatrix missed;          // W - Q
  const InputStatistics* statistics = nullptr;
};
std::vector<CheckpointTensor> factors_of(const MissedPart& part, const LowRankPlan& plan);

}  // namespace skein
