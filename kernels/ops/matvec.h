// Matrix-vector products over stored weights, and the quantized activations they need.
// Any thread; no allocation, no I/O. Results are the same bits on every instruction set and thread
// count: kernels/README.md defines the one order of float operations, ref_*.cpp spells it out.
#pragma once

#include <cstdint>
#include <span>

#include "common/base/bytes.h"
#include "kernels/ops/format.h"
#include "kernels/ops/parallel.h"

namespace skein {

// Consecutive stored rows of a matrix: a row group, as one page holds it. data is 64-byte aligned.
// kTiles: first_row is a multiple of 16.
struct RowBlock {
  const std::byte* data = nullptr;
  std::uint32_t first_row = 0;
  std::uint32_t rows = 0;
};

// A matrix as its row blocks, in row order, without gaps. View: the pages outlive it.
struct MatrixView {
  Format format = Format::kF32;
  Layout layout = Layout::kTiles;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::span<const RowBlock> blocks;
};

// An input vector, with its group-wise int8 form when a quantized matrix will read it.
// codes: ceil(n/32)*32 int8, zero padded; scales: ceil(n/32) floats, max|x|/127 (0 for a zero
// group); code = round to nearest even (x / scale), computed as x * (127 / max|x|).
struct ActivationView {
  std::span<const float> values;
  std::span<const std::int8_t> codes;
  std::span<const float> scales;
};
void quantize_activation(std::span<const float> x, std::span<std::int8_t> codes,
                         std::span<float> scales);

// y = W x for a kTiles matrix. y.size() == rows, x.values.size() == cols; a quantized matrix
// needs x.codes and x.scales.
void matvec(const MatrixView& w, const ActivationView& x, std::span<float> y, Parallel& parallel);

// y = sum over i with h[i] != 0, in increasing i, of h[i] * row_i, for a kRows matrix stored
// neuron-major (rows = neurons, cols = outputs). Rows behind a zero are never read. Element:
// y[j] += w(i,j) * h[i]; q8 to q4: float(code) * (h[i] * scale). Returns the number of rows read.
// `active` is scratch for at least h.size() indices. Work is split by output columns.
std::uint32_t sparse_accumulate(const MatrixView& w, std::span<const float> h,
                                std::span<std::uint32_t> active, std::span<float> y,
                                Parallel& parallel);

// One row of a kRows matrix as floats (embedding look-up, vectors).
void read_row(Format format, std::uint32_t cols, const std::byte* row, std::span<float> out);

}  // namespace skein
