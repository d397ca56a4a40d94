// Products with a matrix stored neuron-major (kRows: row i is what neuron i adds to each output),
// reading only the rows behind a non-zero h: the value matrix of the channel mix, whose h has exact
// zeros. Any thread; no allocation. Same bits however work is split:
//
// Neurons count in blocks of 256, by index. Within a block the sum over its neurons is
//   q8 to q4: an exact integer, so its terms may come in any order. M = the largest |h_i * bound_i|
//     of the block, m_ig = round to nearest even (scale_ig * (h_i * (16256 / M))), at most 16256 in
//     magnitude, and the block's share of output j is float(sum of m_ig * code_ij) * (M / 16256).
//     When some h_i * bound_i is no number, neither is any output.
//   f32, bf16, f16: w_ij * h_i added in increasing i, from 0.
// Blocks are added in increasing order, from 0.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/ops/matmul.h"

namespace skein {

inline constexpr std::uint32_t kNeuronBlock = 256;

constexpr std::uint32_t neuron_blocks_of(std::uint32_t neurons) {
  return (neurons + kNeuronBlock - 1) / kNeuronBlock;
}

// A kRows matrix; of q8 to q4 also bounds: for each row, what none of its groups' scales exceeds
// (the closer, the more exact the sums). With `at` rows lie where it says, not in w.blocks; those
// behind zeros may be nowhere.
struct NeuronMatrix {
  MatrixView w;
  std::span<const float> bounds;
  std::span<const std::byte* const> at = {};  // (w.rows), or empty
};
// The largest scale of each row, rounded up to bf16. bounds.size() == w.rows; w is q8 to q4.
void find_row_bounds(const MatrixView& w, std::span<float> bounds);

// y[0, w.cols) += block `block`'s share. h: all neurons' values. Meanwhile fetches the rows that
// the next block will read. Returns how many rows were read.
std::uint32_t add_neuron_block(const NeuronMatrix& matrix, std::uint32_t block,
                               std::span<const float> h, float* y);

// y[i] = sum over blocks, for `rows` vectors h (w.rows each) and y (w.cols each). Work is split by
// outputs. Returns how many rows were read, counted once for each vector.
// Of several calls each may take some of the blocks, in order: all but the first add to y.
struct NeuronProduct {
  NeuronMatrix matrix;
  const float* h = nullptr;
  float* y = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t first_block = 0;
  std::uint32_t blocks = ~0U;  // as far as there are any
};
std::uint64_t neuron_matmul(const NeuronProduct& product, Parallel& parallel);

}  // namespace skein
