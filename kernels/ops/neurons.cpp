#include "kernels/ops/neurons.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
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
  std::uint64_t row_bytes() const { return row_bytes_; }

 private:
  std::uint64_t row_bytes_;
  const RowBlock* block_;
};

struct NeuronJob {
  const NeuronProduct& product;

  void run(std::size_t task) const {
    const std::uint32_t first = static_cast<std::uint32_t>(task) * kTaskColumns;
    const Columns columns = {first, std::min(kTaskColumns, product.w.cols - first)};
    for (std::size_t i = 0; i < product.rows; ++i) {
      const std::span<const float> h(product.h + i * product.w.rows, product.w.rows);
      float* const y = product.y + i * product.w.cols + first;
      std::fill_n(y, columns.count, 0.0F);
      for (std::uint32_t block = 0; block < neuron_blocks_of(product.w.rows); ++block) {
        const std::size_t from = std::size_t{block} * kNeuronBlock;
        const std::size_t count = std::min<std::size_t>(kNeuronBlock, h.size() - from);
        add_neuron_block(product.w, block, h.subspan(from, count), columns, y);
      }
    }
  }
};

}  // namespace

std::uint32_t add_neuron_block(const MatrixView& w, std::uint32_t block, std::span<const float> h,
                               Columns columns, float* y) {
  const std::uint32_t first = block * kNeuronBlock;
  CHECK(w.layout == Layout::kRows && first < w.rows && h.size() <= kNeuronBlock);
  CHECK(h.size() <= w.rows - first && columns.first % kGroup == 0);
  CHECK(columns.count <= w.cols && columns.first <= w.cols - columns.count);
  std::array<const std::byte*, kNeuronBlock> rows;
  std::array<float, kNeuronBlock> factors;
  std::uint32_t count = 0;
  RowWalk walk(w, first);
  for (std::uint32_t i = 0; i < h.size(); ++i) {
    if (h[i] == 0) continue;
    rows[count] = walk.at(first + i);
    factors[count++] = h[i];
  }
  if (count == 0) return 0;
  const NeuronRows neurons = {rows.data(), factors.data(), count,
                              w.cols,      columns.first,  columns.count};
  neurons_kernel(current_kernels(), w.format)(neurons, y);
  return count;
}

void prefetch_neurons(const MatrixView& w, std::uint32_t first, std::span<const float> h) {
  if (h.empty()) return;
  RowWalk walk(w, first);
  for (std::uint32_t i = 0; i < h.size(); ++i) {
    if (h[i] == 0) continue;
    const std::byte* row = walk.at(first + i);
    for (std::uint64_t line = 0; line < walk.row_bytes(); line += 64) {
      __builtin_prefetch(row + line, 0, 2);  // not into the first level: rows wait their turn
    }
  }
}

std::uint64_t neuron_matmul(const NeuronProduct& product, Parallel& parallel) {
  const MatrixView& w = product.w;
  CHECK(w.layout == Layout::kRows);
  NeuronJob job{product};
  run_tasks(parallel, (w.cols + kTaskColumns - 1) / kTaskColumns, job);
  const std::size_t all = std::size_t{product.rows} * w.rows;
  return all - static_cast<std::uint64_t>(std::count(product.h, product.h + all, 0.0F));
}

}  // namespace skein
