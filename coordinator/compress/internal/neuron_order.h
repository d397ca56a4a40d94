// NeuronOrder: in which order a layer's neurons are stored: the hottest first, then the cold ones
// by what fires together, so that the rows that a token needs lie in few blocks of storage. (Cold
// ones only: LLM in a flash, Alizadeh et al. 2023, found that bundles around hot neurons are read
// over and over; PowerInfer-2 and Neuralink pin those first.) Permuting key rows and value rows
// together leaves a layer's outputs equal in real arithmetic; sums are rounded in another order.
// Pure; any thread; the same order for the same activity.
#pragma once

#include "common/checkpoint/checkpoint.h"
#include "coordinator/compress/internal/layer_activity.h"

namespace skein {

inline constexpr double kHotShare = 0.25;

// order[i] = the neuron that comes i-th. Hot: by how often they fire. Cold: a chain that goes on
// with the neuron that fires most with the last kChain ones.
std::vector<std::uint32_t> hot_first_order(const LayerActivity& activity, Parallel& parallel);

// The share of firings that the hottest quarter carries.
double hot_quarter_share(const LayerActivity& activity);

// Blocks of 4 KiB that a token's value rows lie in, on average, rows of `row_bytes` stored one
// after another in that order (empty: as they are); and how many there are.
struct BlockTouches {
  double touched = 0;
  std::uint32_t blocks = 0;
};
BlockTouches block_touches(const LayerActivity& activity, std::span<const std::uint32_t> order,
                           std::uint64_t row_bytes);

// The checkpoint with the key rows and value columns of each layer in its order. Plain tensors are
// copied, packed ones become f32. Errc::kCorrupt as stored_values.
Result<Checkpoint> reordered(const Checkpoint& checkpoint,
                             std::span<const std::vector<std::uint32_t>> orders);

}  // namespace skein
