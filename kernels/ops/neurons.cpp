#include "kernels/ops/neurons.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "kernels/ops/internal/codes.h"
#include "kernels/ops/internal/dispatch.h"

namespace skein {
namespace {

// A task's share of a product: outputs, a multiple of kGroup, of so many vectors. Its part of a
// block's rows stays in the second level of caches while every vector takes what it needs of them.
constexpr std::uint32_t kTaskColumns = 512;
constexpr std::uint32_t kTaskVectors = 8;

// Where the stored rows of a matrix are, walked in increasing order.
class RowWalk {
 public:
  explicit RowWalk(const MatrixView& w, std::uint32_t first)
      : row_bytes_(stored_bytes(w.format, Layout::kRows, 1, w.cols)) {
    const auto after = std::upper_bound(
        w.blocks.begin(), w.blocks.end(), first,
        [](std::uint32_t wanted, const RowBlock& block) { return wanted < block.first_row; });
    block_ = &*(after - 1);
  }
  const std::byte* at(std::uint32_t row) {
    while (row - block_->first_row >= block_->rows) ++block_;
    return block_->data + (row - block_->first_row) * row_bytes_;
  }

 private:
  std::uint64_t row_bytes_;
  const RowBlock* block_;
};

// A block's rows behind non-zeros; none of a block beyond the last. Large: filled in place.
class ActiveRows {
 public:
  void find(const NeuronMatrix& matrix, std::uint32_t block, std::span<const float> h) {
    const MatrixView& w = matrix.w;
    count_ = 0;
    complete_ = true;
    const std::uint32_t first = block * kNeuronBlock;
    if (first >= w.rows) return;
    const std::uint32_t last = std::min(first + kNeuronBlock, w.rows);
    for (std::uint32_t row = first; row < last;
         ++row) {  // without branches: zeros come as they like
      indices_[count_] = row;
      count_ += h[row] != 0 ? 1U : 0U;
    }
    for (std::uint32_t i = 0; i < count_; ++i) factors_[i] = h[indices_[i]];
    if (!matrix.at.empty()) {
      for (std::uint32_t i = 0; i < count_; ++i) {
        rows_[i] = matrix.at[indices_[i]];
        complete_ = complete_ && rows_[i] != nullptr;
      }
      return;
    }
    RowWalk walk(w, first);
    for (std::uint32_t i = 0; i < count_; ++i) rows_[i] = walk.at(indices_[i]);
  }
  bool is_complete() const { return complete_; }  // it is known where every row lies
  std::uint32_t count() const { return count_; }
  const std::byte* const* rows() const { return rows_.data(); }
  const float* factors() const { return factors_.data(); }
  // A NaN when some term is no number.
  float largest(std::span<const float> bounds) const {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    float largest = 0;
    bool finite = true;
    for (std::uint32_t i = 0; i < count_; ++i) {
      const float term = std::fabs(factors_[i] * bounds[indices_[i]]);
      finite = finite && term < kInfinity;
      largest = term > largest ? term : largest;
    }
    return finite ? largest : std::numeric_limits<float>::quiet_NaN();
  }

 private:
  std::array<const std::byte*, kNeuronBlock> rows_;
  std::array<std::uint32_t, kNeuronBlock + 1> indices_;  // one more than is ever counted
  std::array<float, kNeuronBlock> factors_;
  std::uint32_t count_ = 0;
  bool complete_ = true;
};

NeuronRows neuron_rows(const NeuronMatrix& matrix, const ActiveRows& active) {
  NeuronRows neurons{.rows = active.rows(), .h = active.factors(), .count = active.count()};
  if (is_quantized(matrix.w.format)) neurons.largest = active.largest(matrix.bounds);
  neurons.row_cols = neurons.cols = matrix.w.cols;
  return neurons;
}

void add(const MatrixView& w, const NeuronRows& neurons, float* y) {
  if (std::isnan(neurons.largest)) {  // integers cannot say it
    return (void)std::fill_n(y, neurons.cols, neurons.largest);
  }
  neurons_kernel(current_kernels(), w.format)(neurons, y);
}

void check(const NeuronMatrix& matrix) {
  CHECK(matrix.w.layout == Layout::kRows);
  CHECK(!is_quantized(matrix.w.format) || matrix.bounds.size() == matrix.w.rows);
  CHECK(matrix.at.empty() || matrix.at.size() == matrix.w.rows);
}

// Where columns [first, first + count) of a stored row lie: the most of their codes, and scales.
void tell_ranges(const MatrixView& w, std::uint32_t first, std::uint32_t count,
                 NeuronRows::Range (&out)[2]) {
  if (!is_quantized(w.format)) return;  // read along, not across: nothing to be fetched
  const std::uint32_t per_byte = w.format == Format::kQ8 ? 1 : 2;
  const auto row_bytes =
      static_cast<std::uint32_t>(stored_bytes(w.format, Layout::kRows, 1, w.cols));
  const std::uint32_t scales = row_bytes - groups_of(w.cols) * 2;
  out[0] = {first / per_byte, (count + per_byte - 1) / per_byte};
  out[1] = {scales + first / kGroup * 2, groups_of(count) * 2};
}

struct NeuronJob {
  const NeuronProduct& product;

  std::uint32_t stripes() const {
    return (product.matrix.w.cols + kTaskColumns - 1) / kTaskColumns;
  }
  std::uint32_t tasks() const {
    return stripes() * ((product.rows + kTaskVectors - 1) / kTaskVectors);
  }

  void run(std::size_t task) const {
    const MatrixView& w = product.matrix.w;
    const auto stripe = static_cast<std::uint32_t>(task % stripes());
    const auto vector = static_cast<std::uint32_t>(task / stripes()) * kTaskVectors;
    const std::uint32_t vectors = std::min(kTaskVectors, product.rows - vector);
    const std::uint32_t first = stripe * kTaskColumns;
    const std::uint32_t count = std::min(kTaskColumns, w.cols - first);
    std::array<std::array<ActiveRows, kTaskVectors>, 2> active;  // of even and of odd blocks
    const std::uint32_t begin = product.first_block;
    const std::uint32_t end = begin + std::min(product.blocks, neuron_blocks_of(w.rows) - begin);
    for (std::uint32_t i = 0; i < vectors; ++i) {
      if (begin == 0) std::fill_n(output(vector + i) + first, count, 0.0F);
      active[begin % 2][i].find(product.matrix, begin, hidden(vector + i));
    }
    for (std::uint32_t block = begin; block < end; ++block) {
      for (std::uint32_t i = 0; i < vectors; ++i) {
        ActiveRows& next = active[(block + 1) % 2][i];
        next.find(product.matrix, block + 1, hidden(vector + i));
        const ActiveRows& now = active[block % 2][i];
        CHECK(now.is_complete());
        NeuronRows neurons = neuron_rows(product.matrix, now);
        neurons.first_col = first;
        neurons.cols = count;
        neurons.soon = next.rows();
        neurons.soon_count = next.is_complete() ? next.count() : 0;
        tell_ranges(w, first, count, neurons.soon_ranges);
        if (neurons.count != 0) add(w, neurons, output(vector + i) + first);
      }
    }
  }
  std::span<const float> hidden(std::size_t vector) const {
    return {product.h + vector * product.matrix.w.rows, product.matrix.w.rows};
  }
  float* output(std::size_t vector) const { return product.y + vector * product.matrix.w.cols; }
};

}  // namespace

void find_row_bounds(const MatrixView& w, std::span<float> bounds) {
  CHECK(w.layout == Layout::kRows && is_quantized(w.format) && bounds.size() == w.rows);
  const PackedShape shape{packed_bits(w.format), Layout::kRows, 1, w.cols};
  RowWalk walk(w, 0);
  for (std::uint32_t row = 0; row < w.rows; ++row) {
    const std::byte* const data = walk.at(row);
    float largest = 0;
    for (std::uint32_t group = 0; group < groups_of(w.cols); ++group) {
      const float scale = std::fabs(group_scale(w.format, shape, data, group));
      largest = scale > largest ? scale : largest;
    }
    const std::uint16_t near = narrow_bf16(largest);
    const bool below = widen_bf16(near) < largest;
    bounds[row] = widen_bf16(static_cast<std::uint16_t>(near + (below ? 1 : 0)));
  }
}

std::uint32_t add_neuron_block(const NeuronMatrix& matrix, std::uint32_t block,
                               std::span<const float> h, float* y) {
  check(matrix);
  const MatrixView& w = matrix.w;
  CHECK(h.size() == w.rows && block < neuron_blocks_of(w.rows));
  ActiveRows active;
  active.find(matrix, block, h);
  if (active.count() == 0) return 0;
  CHECK(active.is_complete());
  ActiveRows next;
  next.find(matrix, block + 1, h);
  NeuronRows neurons = neuron_rows(matrix, active);
  neurons.soon = next.rows();
  neurons.soon_count = next.is_complete() ? next.count() : 0;
  neurons.soon_ranges[0].bytes =
      static_cast<std::uint32_t>(stored_bytes(w.format, Layout::kRows, 1, w.cols));
  add(w, neurons, y);
  return active.count();
}

std::uint64_t neuron_matmul(const NeuronProduct& product, Parallel& parallel) {
  check(product.matrix);
  const MatrixView& w = product.matrix.w;
  CHECK(product.first_block <= neuron_blocks_of(w.rows));
  NeuronJob job{product};
  run_tasks(parallel, job.tasks(), job);
  const std::uint32_t first = std::min(product.first_block * kNeuronBlock, w.rows);
  const auto count = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(w.rows - first, std::uint64_t{product.blocks} * kNeuronBlock));
  std::uint64_t read = 0;
  for (std::size_t i = 0; i < product.rows; ++i) {
    const float* const h = product.h + i * w.rows + first;
    read += count - static_cast<std::uint64_t>(std::count(h, h + count, 0.0F));
  }
  return read;
}

}  // namespace skein
