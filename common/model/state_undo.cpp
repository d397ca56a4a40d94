#include "common/model/internal/state_undo.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein {

namespace {

constexpr std::size_t kPiece = 16 * 1024;  // floats a task copies

struct CopyJob {
  std::span<const float> from;
  float* to;
  void run(std::size_t i) const {
    const auto piece = from.subspan(i * kPiece, std::min(kPiece, from.size() - i * kPiece));
    std::ranges::copy(piece, to + i * kPiece);
  }
};

}  // namespace

void StateUndo::begin(LayerIndex first, LayerIndex last) {
  first_ = first;
  layers_ = 0;
  planned_ = last.value() - first.value();
}

void StateUndo::keep(LayerIndex layer, std::span<const SequenceRows> sequences,
                     Parallel& parallel) {
  CHECK(layers_ < planned_ && layer.value() == first_.value() + layers_);
  const std::size_t each = sequences[0].state->layer(layer).size();
  std::size_t at = std::size_t{layers_} * sequences.size() * each;
  const std::size_t needed = std::size_t{planned_} * sequences.size() * each;
  if (floats_.size() < needed) {
    give_back();  // never both in memory
    floats_.resize(needed);
  }
  for (const SequenceRows& sequence : sequences) {
    CopyJob job{sequence.state->layer(layer), &floats_[at]};
    run_tasks(parallel, (each + kPiece - 1) / kPiece, job);
    at += each;
  }
  ++layers_;
}

void StateUndo::restore(std::span<const SequenceRows> sequences) {
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < layers_; ++i) {
    for (const SequenceRows& sequence : sequences) {
      const std::span<float> layer = sequence.state->layer(LayerIndex(first_.value() + i));
      std::copy_n(&floats_[at], layer.size(), layer.begin());
      at += layer.size();
    }
  }
  layers_ = 0;
}

}  // namespace skein
