// PredictorTraining: the parts of a layer's predictor, learned from a calibration run. Odds: a
// logistic regression of "fires" on each neuron's raw score. Deterministic for any number of
// threads; one thread, which lends others through Parallel.
//
// What a layer's key matrix multiplies is guessed from what enters the layer: a sum by channel of
// the normed residual and the shift state, and a reduced-rank regression of the rest on the normed
// residual. The shift state is known exactly, the time mix's share is what is guessed.
#pragma once

#include <algorithm>

#include "common/checkpoint/checkpoint.h"
#include "common/predict/neuron_predictor.h"
#include "coordinator/compress/internal/layer_activity.h"

namespace skein {

struct TrainingOptions {
  std::vector<ScoreKind> kinds;
  std::uint32_t guess_rank = 64;
  std::uint32_t sketch_rank = 64;
  std::uint32_t hidden = 64;  // of the MLP (RWKV-Lite)
  std::uint32_t epochs = 10;
  std::uint64_t seed = 20251125;
};

// A tensor of the artifact to be.
struct TrainedPart {
  std::string name;
  std::uint32_t rows = 1;
  std::vector<float> values;  // stored as bf16
};

// key: (neurons, width), as the model multiplies it.
std::vector<TrainedPart> train_predictor(const LayerActivity& activity, const RowMatrix& key,
                                         const TrainingOptions& options, Parallel& parallel);

// As tensors that with_tensors takes: views into `storage`.
std::vector<CheckpointTensor> tensors_of(std::span<const TrainedPart> parts,
                                         std::vector<Buffer>& storage);

// Neurons that fire less than the median one, (neurons).
std::vector<bool> colder_half(const RowMatrix& fired);

// Counts what is named at a cut against what fired.
class QualityCount {
 public:
  void add(std::span<const float> scores, float cut, std::span<const float> fired,
           std::span<const float> lengths, const std::vector<bool>& counted);
  double recall() const { return hit_ / std::max(fired_, 1.0); }
  double precision() const { return hit_ / std::max(named_, 1.0); }
  double energy() const { return energy_hit_ / std::max(energy_, 1e-30); }

 private:
  double hit_ = 0, fired_ = 0, named_ = 0, energy_hit_ = 0, energy_ = 0;
};

}  // namespace skein
