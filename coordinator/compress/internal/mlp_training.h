// RWKV-Lite's predictor of neurons (Choe et al. 2024): sigmoid(B relu(A f)), trained with Adam on
// binary cross-entropy, firings weighed with how rare they are. No bias. Private to the room.
#pragma once

#include "coordinator/compress/internal/layer_activity.h"

namespace skein {

struct MlpShape {
  std::uint32_t hidden = 64;
  std::uint32_t epochs = 10;
  std::uint64_t seed = 0;
};
struct Mlp {
  RowMatrix down;  // (hidden, inputs)
  RowMatrix up;    // (neurons, hidden)
  RowMatrix raw(const RowMatrix& features) const;
};
// features: (tokens, inputs); fired: (tokens, neurons), by whether it is zero; rows: to learn from.
// The same bits for any number of threads: columns of neurons in fixed blocks, summed in order.
Mlp train_mlp(const RowMatrix& features, const RowMatrix& fired,
              std::span<const std::uint32_t> rows, const MlpShape& shape, Parallel& parallel);

}  // namespace skein
