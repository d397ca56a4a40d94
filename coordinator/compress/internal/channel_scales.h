// Channel scales: W diag(s) on x / s in place of W on x, s following how large the channels of x
// are (activation-aware scales, AWQ, Lin et al. 2024), so that a grid spends its codes on channels
// that matter. Token shift is linear in each channel, so s goes into the layer norm before it and
// into the columns of all that reads it; for the output matrix of time mixing into what is
// multiplied last before it. s are powers of two: in floats the model computes the same bits.
#pragma once

#include <functional>
#include <string_view>

#include "common/checkpoint/checkpoint.h"
#include "coordinator/compress/internal/calibration_pass.h"

namespace skein {

// log2 of s for each channel: exponent * log2 of its rms over the geometric mean, rounded, at most
// kMostScale either way. A channel that is always zero has 0.
inline constexpr int kMostScale = 6;
std::vector<int> scales_of(std::span<const double> rms, double exponent);

// The same model in other units. `checkpoint` is what `model` was opened from. progress(share of
// the text's run, what it is at).
Result<Checkpoint> scale_channels(const Checkpoint& checkpoint, const Model& model,
                                  Parallel& parallel, const CalibrationText& text, double exponent,
                                  const std::function<void(double, std::string_view)>& progress);

}  // namespace skein
