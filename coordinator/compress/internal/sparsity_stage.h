// SparsityStage: the technique `sparsity` around the others: the order of neurons before a model is
// quantized, thresholds and predictors from a run of what came out. Private to the room; one
// thread, which lends others through Parallel.
#pragma once

#include <functional>

#include "coordinator/compress/internal/layer_activity.h"
#include "coordinator/compress/press.h"

namespace skein {

using PressRest = std::function<Result<PressResult>(const PressInput&)>;

// `rest` presses what it is given, quantized or as it is. Errc::kUsage: too little text.
Result<PressResult> press_sparse(const PressInput& input, const CompressionPlan& plan,
                                 const PressRest& rest);

// How a pressed model's neurons fire on a text, and how well its predictor names them.
Result<SparsityReport> measure_sparsity(PageSource& pages, const CalibrationText& text,
                                        Parallel& parallel);

// The key matrix of a layer as floats: (neurons, width).
RowMatrix key_of(const Model& model, std::uint32_t layer);

}  // namespace skein
