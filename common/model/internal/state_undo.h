// StateUndo: what a pass overwrites of its sequences' states, kept until it has ended well. Only
// paged models need it: their passes may fail half way. Owned by a Workspace; one thread.
#pragma once

#include <span>
#include <vector>

#include "common/model/model.h"
#include "kernels/ops/parallel.h"

namespace skein {

class StateUndo {
 public:
  // A pass over layers [first, last) begins.
  void begin(LayerIndex first, LayerIndex last);
  // Before the layer is run; layers in increasing order, the same sequences each time.
  void keep(LayerIndex layer, std::span<const SequenceRows> sequences, Parallel& parallel);
  // All that was kept.
  void restore(std::span<const SequenceRows> sequences);
  // Its memory, between passes.
  void give_back() { floats_ = std::vector<float>(); }

 private:
  std::vector<float> floats_;  // layer by layer, sequence by sequence
  LayerIndex first_{0};
  std::uint32_t layers_ = 0;  // kept
  std::uint32_t planned_ = 0;
};

}  // namespace skein
