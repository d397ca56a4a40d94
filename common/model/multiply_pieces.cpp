// Products with a matrix that is never in memory as a whole.
#include <algorithm>

#include "common/model/internal/layer_pass.h"

namespace skein {

namespace {

constexpr std::uint32_t kFinishedOutputs = 256;  // a task's, after the last piece

struct FinishJob {
  const Product& product;
  void run(std::size_t task) const {
    const std::uint32_t first = static_cast<std::uint32_t>(task) * kFinishedOutputs;
    const std::uint32_t count = std::min(kFinishedOutputs, product.w.rows - first);
    product.finish.run(product.finish.context, first, count);
  }
};

}  // namespace

// An output's bits do not depend on the cut. Pieces end where pages do, which is anywhere in a
// group of 32 outputs, so what follows the product waits for all of it.
Result<void> multiply_pieces(PagedTensors& pages, const Matrix& w, Product product,
                             Parallel& parallel) {
  const AfterTiles finish = product.finish;
  product.finish = {};
  for (std::uint32_t first = 0; first < w.rows();) {
    TRY(const std::span<const RowBlock> blocks, pages.rows_from(w.paged(), first));
    const RowBlock& last = blocks.back();
    product.w.blocks = blocks;
    product.only = {first, last.first_row + last.rows - first};
    matmul(std::span(&product, 1), parallel);
    first += product.only.count;
  }
  if (finish.run == nullptr) return {};
  product.finish = finish;
  FinishJob job{product};
  run_tasks(parallel, (w.rows() + kFinishedOutputs - 1) / kFinishedOutputs, job);
  return {};
}

}  // namespace skein
