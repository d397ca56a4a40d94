// Pruning: a model without some of its channel-mix neurons. Two runs of the text, one layer's
// statistics at a time: the first scores all neurons, the second makes the values good. One thread,
// which lends others through Parallel.
#pragma once

#include <functional>

#include "common/checkpoint/checkpoint.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/internal/neuron_scores.h"
#include "coordinator/compress/press.h"

namespace skein {

struct Pruned {
  Checkpoint checkpoint;  // with ffn.key and ffn.value of fewer neurons, in the same formats
  std::vector<PrunedLayer> layers;
};

// `model` runs `checkpoint`. progress: share of the work done, and the tensor at hand.
Result<Pruned> prune(const Checkpoint& checkpoint, const Model& model, Parallel& parallel,
                     const CalibrationText& text, const PrunePlan& plan,
                     const std::function<void(double, std::string_view)>& progress);

}  // namespace skein
