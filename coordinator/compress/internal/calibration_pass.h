// CalibrationPass: a model run over a text layer by layer, all windows through one layer before the
// next begins, so that only one layer's statistics are alive at a time. Memory: two activations a
// token, and the largest layer's Gram matrices. One thread, which lends others through Parallel.
#pragma once

#include <memory>
#include <vector>

#include "coordinator/compress/internal/input_statistics.h"

namespace skein {

// Ids cut into windows, each read from the initial state after id 0, as `skein eval` does.
struct CalibrationText {
  std::vector<TokenId> ids = {};
  std::uint32_t context = 512;
  std::string origin = {};  // "book.txt", or "sampled from the model"
};

// `windows` windows of `context` ids that the model makes up itself: temperature 1, nothing cut
// off, many windows at once. The same ids for the same model and seed.
Result<CalibrationText> sample_text(const Model& model, Parallel& parallel, std::uint32_t windows,
                                    std::uint32_t context, std::uint64_t seed);

class CalibrationPass {
 public:
  // All outlive it. text.ids is not empty.
  CalibrationPass(const Model& model, Parallel& parallel, const CalibrationText& text);

  // LN0(embedding) of all ids; the pass stands before layer 0.
  Result<void> begin();
  // Runs the next layer; its matrices' inputs are then in statistics().
  Result<void> run_layer();
  // After the last layer: the head's.
  Result<void> run_head();

  std::uint32_t layer() const { return layer_; }  // the next to run
  std::uint32_t layers() const { return model_.config().layers; }
  const StatisticsObserver& statistics() const { return statistics_; }
  // The residual stream before layer(), of the first `tokens` ids (whole windows or all).
  Activation first(std::size_t tokens) const;

 private:
  std::size_t width() const { return model_.config().width; }

  const Model& model_;
  Parallel& parallel_;
  const CalibrationText& text_;
  Runner runner_;
  StatisticsObserver statistics_;
  Activation all_;
  std::uint32_t layer_ = 0;
};

// Runs layers [first, last) of a runner's model over windows of `context` rows, each from the
// initial state; activation in place.
void run_windows(Runner& runner, const RwkvState& start, std::uint32_t context, LayerIndex first,
                 LayerIndex last, Activation& activation);

}  // namespace skein
