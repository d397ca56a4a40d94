// Products of stored weights with input vectors: one (decode) or many at once (prefill, several
// sessions), and the int8 form of the inputs that quantized matrices multiply. Any thread; no
// allocation, no I/O. Results are the same bits on every instruction set, thread count and number
// of inputs: kernels/README.md defines the one order of float operations, ref_*.cpp spells it out.
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

constexpr std::uint32_t groups_of(std::uint32_t cols) { return (cols + kGroup - 1) / kGroup; }

// `rows` input vectors of `cols` floats, one after another, with their int8 form when a quantized
// matrix will read them. A vector has G = groups_of(cols) groups:
//   codes: G * 32 int8, zero padded; scales: G floats, max|x| / 127 (0 for a zero group); sums: G,
//   the sum of a group's codes. code = round to nearest even (x * (127 / max|x|)).
// View; one vector's parts follow the other's without gaps.
struct Inputs {
  const float* values = nullptr;
  const std::int8_t* codes = nullptr;
  const float* scales = nullptr;
  const std::int32_t* sums = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;

  Inputs row(std::uint32_t index) const;
};

// Fills one vector's int8 form. codes.size() == G * 32; scales.size() == sums.size() == G.
struct InputCodes {
  std::span<std::int8_t> codes;
  std::span<float> scales;
  std::span<std::int32_t> sums;
};
void quantize_input(std::span<const float> x, const InputCodes& out);

// What is done with outputs [first, first + count) of every input as soon as they are there, on the
// thread that made them. first is a multiple of 32.
struct AfterTiles {
  void (*run)(const void* context, std::uint32_t first, std::uint32_t count) = nullptr;
  const void* context = nullptr;
};

// Rows [first, first + count) of a matrix, as far as it has them.
struct RowRange {
  std::uint32_t first = 0;
  std::uint32_t count = ~0U;
};

// y[i] = W x[i] for a kTiles matrix: w.cols == x.cols; y holds x.rows vectors of w.rows floats, one
// after another. Only the outputs in `only` are made, and only they need be in w.blocks: whole
// tiles; with `finish` it begins at a multiple of 32.
struct Product {
  MatrixView w;
  Inputs x;
  float* y = nullptr;
  AfterTiles finish = {};
  RowRange only = {};
};

// All of them, at most kMostProducts, in one round of tasks.
inline constexpr std::size_t kMostProducts = 12;
void matmul(std::span<const Product> products, Parallel& parallel);

// One row of a kRows matrix as floats (embedding look-up, vectors).
void read_row(Format format, std::uint32_t cols, const std::byte* row, std::span<float> out);

}  // namespace skein
