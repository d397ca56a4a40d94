// The head over the rows of one pass: dense, screened or hierarchical.
#include <algorithm>
#include <array>
#include <limits>

#include "common/base/check.h"
#include "common/model/internal/head_shortcuts.h"
#include "common/model/internal/layer_pass.h"

namespace skein {
namespace {

// More rows meet each weight once instead: their bits are the same.
constexpr std::uint32_t kFewRows = 4;

std::uint64_t bytes_of(const Matrix& matrix, std::uint64_t rows) {
  const MatrixView view = matrix.view();
  return stored_bytes(view.format, view.layout, rows, view.cols);
}

}  // namespace

std::span<const std::uint32_t> head_order(const ModelWeights& weights) {
  if (weights.head_shortcuts == nullptr) return {};
  return weights.head_shortcuts->order;
}

std::uint64_t HeadPass::tile_bytes() const { return bytes_of(weights_.head, kTileRows); }

Result<void> HeadPass::run(std::span<float> logits, std::uint32_t most,
                           Runner::Counters& counters) {
  const std::uint32_t vocab = weights_.head.rows();
  const std::uint32_t count = in_.rows();
  const HeadShortcuts* const shortcuts = weights_.head_shortcuts.get();
  const bool clusters = shortcuts != nullptr && shortcuts->clusters.count() != 0;
  const bool screens = shortcuts != nullptr && !shortcuts->screen.sketch.is_absent();
  counters.head_bytes_total += count * bytes_of(weights_.head, vocab);
  if (shortcuts == nullptr) {
    TRY_VOID(dense(logits));
    counters.head_bytes_read += bytes_;
    return {};
  }
  const bool few = count <= kFewRows && !weights_.head.is_paged();
  const bool whole = !few || !(clusters || (screens && most != 0 && most < vocab));
  scratch_.ordered.shape(whole ? count : 1, vocab);
  if (whole) TRY_VOID(dense(scratch_.ordered.all()));
  for (std::uint32_t i = 0; i < count; ++i) {
    const Span ordered = scratch_.ordered.row(whole ? i : 0);
    if (clusters) {
      clustered(i, whole, ordered);
    } else if (!whole) {
      screened(i, most, ordered);
    }
    const Span to = logits.subspan(std::size_t{i} * vocab, vocab);
    if (shortcuts->order.empty()) {
      std::ranges::copy(ordered, to.begin());
    } else {
      for (std::uint32_t row = 0; row < vocab; ++row) to[shortcuts->order[row]] = ordered[row];
    }
  }
  counters.head_bytes_read += bytes_;
  return {};
}

Result<void> HeadPass::dense(std::span<float> rows) {
  bytes_ += bytes_of(weights_.head, weights_.head.rows());
  const Product product = {weights_.head.view(), in_.view(), rows.data()};
  if (weights_.head.is_paged()) {
    return multiply_pieces(*weights_.paged, weights_.head, product, parallel_);
  }
  matmul(std::span(&product, 1), parallel_);
  return {};
}

void HeadPass::dense_row(std::uint32_t row, Span ordered) {
  bytes_ += bytes_of(weights_.head, weights_.head.rows());
  const Product product = {weights_.head.view(), in_.view().row(row), ordered.data()};
  matmul(std::span(&product, 1), parallel_);
}

// The tiles of rows [first, last).
void HeadPass::mark(std::uint32_t first, std::uint32_t last) {
  for (std::uint32_t tile = first / kTileRows; tile * kTileRows < last; ++tile) {
    scratch_.marked[tile] |= kTileWanted;
  }
}

// Logits of all tiles that are wanted and not made.
void HeadPass::make_marked(std::uint32_t row, Span ordered) {
  std::array<Product, kMostProducts> products;
  std::size_t count = 0;
  const auto flush = [&] {
    if (count != 0) matmul(std::span(products).first(count), parallel_);
    count = 0;
  };
  std::vector<std::uint8_t>& marked = scratch_.marked;
  for (std::uint32_t tile = 0; tile < marked.size();) {
    const std::uint32_t first = tile;
    while (tile < marked.size() && marked[tile] == kTileWanted) marked[tile++] |= kTileMade;
    if (tile == first) {
      ++tile;
      continue;
    }
    bytes_ += (tile - first) * tile_bytes();
    products[count++] = {weights_.head.view(),
                         in_.view().row(row),
                         ordered.data(),
                         {},
                         {first * kTileRows, (tile - first) * kTileRows}};
    if (count == kMostProducts) flush();
  }
  flush();
}

}  // namespace skein
