// Products with a matrix stored neuron-major (kRows: row i is what neuron i adds to each output),
// reading only the rows behind a non-zero h: the value matrix of the channel mix, whose h has exact
// zeros. Any thread; no allocation. Same bits however work is split:
//
// Neurons count in blocks of 256, by index. Within a block the sum over its neurons is
//   q8 to q4: an exact integer. Per group of 32 outputs, M = the largest |h_i * scale_i| of the
//     block, m_i = round to nearest even (h_i * scale_i * (16256 / M)), and the block's share of
//     output j is float(sum of m_i * code_ij) * (M / 16256): any order, any split.
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

// Outputs [first, first + count) of a matrix: first is a multiple of 32, and so is count unless it
// reaches the last column.
struct Columns {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

// y[0, columns.count) += block `block`'s share. h: the whole block's values (fewer in the last
// one). Returns how many rows were read.
std::uint32_t add_neuron_block(const MatrixView& w, std::uint32_t block, std::span<const float> h,
                               Columns columns, float* y);

// Fetches the rows of neurons [first, first + h.size()) with h != 0 towards the cache.
void prefetch_neurons(const MatrixView& w, std::uint32_t first, std::span<const float> h);

// y[i] = sum over blocks, for `rows` vectors h (w.rows each) and y (w.cols each). Work is split by
// outputs. Returns how many rows were read, counted once for each vector.
struct NeuronProduct {
  MatrixView w;
  const float* h = nullptr;
  float* y = nullptr;
  std::uint32_t rows = 0;
};
std::uint64_t neuron_matmul(const NeuronProduct& product, Parallel& parallel);

}  // namespace skein
