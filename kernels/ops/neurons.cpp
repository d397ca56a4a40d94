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

constexpr std::uint32_t kTaskColumns = 256;  // a multiple of kGroup

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

// A block's rows behind non-zeros.
class ActiveRows {
 public:
  ActiveRows(const MatrixView& w, std::uint32_t block, std::span<const float> h) {
    const std::uint32_t first = block * kNeuronBlock;
    if (first >= w.rows) return;
    const std::uint32_t last = std::min(first + kNeuronBlock, w.rows);
    for (std::uint32_t row = first; row < last;
         ++row) {  // without branches: zeros come as they like
      indices_[count_] = row;
      count_ += h[row] != 0 ? 1U : 0U;
    }
    RowWalk walk(w, first);
    for (std::uint32_t i = 0; i < count_; ++i) {
      rows_[i] = walk.at(indices_[i]);
      factors_[i] = h[indices_[i]];
    }
  }
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
}

struct NeuronJob {
  const NeuronProduct& product;

  void run(std::size_t task) const {
    const MatrixView& w = product.matrix.w;
    const std::uint32_t first = static_cast<std::uint32_t>(task) * kTaskColumns;
    const std::uint32_t count = std::min(kTaskColumns, w.cols - first);
    for (std::size_t i = 0; i < product.rows; ++i) {
      const std::span<const float> h(product.h + i * w.rows, w.rows);
      float* const y = product.y + i * w.cols + first;
      std::fill_n(y, count, 0.0F);
      for (std::uint32_t block = 0; block < neuron_blocks_of(w.rows); ++block) {
        const ActiveRows active(w, block, h);
        if (active.count() == 0) continue;
        NeuronRows neurons = neuron_rows(product.matrix, active);
        neurons.first_col = first;
        neurons.cols = count;
        add(w, neurons, y);
      }
    }
  }
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
  const ActiveRows active(w, block, h);
  if (active.count() == 0) return 0;
  const ActiveRows next(w, block + 1, h);
  NeuronRows neurons = neuron_rows(matrix, active);
  neurons.soon = next.rows();
  neurons.soon_count = next.count();
  neurons.soon_bytes = static_cast<std::uint32_t>(stored_bytes(w.format, Layout::kRows, 1, w.cols));
  add(w, neurons, y);
  return active.count();
}

std::uint64_t neuron_matmul(const NeuronProduct& product, Parallel& parallel) {
  check(product.matrix);
  const MatrixView& w = product.matrix.w;
  NeuronJob job{product};
  run_tasks(parallel, (w.cols + kTaskColumns - 1) / kTaskColumns, job);
  const std::size_t all = std::size_t{product.rows} * w.rows;
  return all - static_cast<std::uint64_t>(std::count(product.h, product.h + all, 0.0F));
}

}  // namespace skein
