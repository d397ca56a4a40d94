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

bool is_screened(const ModelWeights& weights, std::uint32_t rows, std::uint32_t most) {
  const HeadShortcuts* const shortcuts = weights.head_shortcuts.get();
  return shortcuts != nullptr && shortcuts->clusters.count() == 0 &&
         !shortcuts->screen.sketch.is_absent() && rows <= kFewRows && most != 0 &&
         most < weights.head.rows();
}

Result<void> HeadPass::run(std::span<float> logits, std::uint32_t most,
                           Runner::Counters& counters) {
  counters.head_bytes_total += in_.rows() * bytes_of(weights_.head, weights_.head.rows());
  auto made = weights_.head_shortcuts == nullptr ? dense(logits) : by_shortcuts(logits, most);
  counters.head_bytes_read += bytes_;
  return made;
}

Result<void> HeadPass::by_shortcuts(std::span<float> logits, std::uint32_t most) {
  const std::uint32_t vocab = weights_.head.rows();
  const std::uint32_t count = in_.rows();
  if (is_screened(weights_, count, most)) {
    TRY(const bool made, screened(logits, most));
    if (made) return {};
  }
  const bool clusters = weights_.head_shortcuts->clusters.count() != 0;
  const bool whole = !clusters || count > kFewRows || weights_.head.is_paged();
  scratch_.ordered.shape(whole ? count : 1, vocab);
  if (whole) TRY_VOID(dense(scratch_.ordered.all()));
  for (std::uint32_t i = 0; i < count; ++i) {
    const Span ordered = scratch_.ordered.row(whole ? i : 0);
    if (clusters) TRY_VOID(clustered(i, whole, ordered));
    put(ordered, logits.subspan(std::size_t{i} * vocab, vocab));
  }
  return {};
}

// In the order of tokens.
void HeadPass::put(View ordered, Span logits) const {
  const std::vector<std::uint32_t>& order = weights_.head_shortcuts->order;
  if (order.empty()) std::ranges::copy(ordered, logits.begin());
  for (std::size_t row = 0; row < order.size(); ++row) logits[order[row]] = ordered[row];
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

namespace {

// Products of the same inputs, so many in one round of tasks.
class Rounds {
 public:
  explicit Rounds(Parallel& parallel) : parallel_(parallel) {}
  void add(const Product& product) {
    products_[count_++] = product;
    if (count_ == kMostProducts) finish();
  }
  void finish() {
    if (count_ != 0) matmul(std::span(products_).first(count_), parallel_);
    count_ = 0;
  }

 private:
  Parallel& parallel_;
  std::array<Product, kMostProducts> products_;
  std::size_t count_ = 0;
};

}  // namespace

// Logits of all tiles that are wanted and not made.
Result<void> HeadPass::make_marked(std::uint32_t row, Span ordered) {
  const std::size_t count = scratch_.marked.size();
  std::vector<std::uint8_t>& missing = scratch_.missing;
  missing.assign(count, 0);
  for (std::size_t tile = 0; tile < count; ++tile) {
    if (scratch_.marked[tile] != kTileWanted) continue;
    scratch_.marked[tile] |= kTileMade;
    missing[tile] = 1;
    bytes_ += tile_bytes();
  }
  Product product = {weights_.head.view(), in_.view().row(row), ordered.data()};
  if (weights_.head.is_paged()) return make_paged(product);
  Rounds rounds(parallel_);
  for (std::uint32_t tile = 0; tile < count;) {
    const std::uint32_t first = tile;
    while (tile < count && missing[tile] != 0) ++tile;
    product.only = {first * kTileRows, (tile - first) * kTileRows};
    if (tile == first) {
      ++tile;
    } else {
      rounds.add(product);
    }
  }
  rounds.finish();
  return {};
}

// Of a head whose tiles come as they are asked for.
Result<void> HeadPass::make_paged(const Product& product) {
  const std::size_t count = scratch_.missing.size();
  Product part = product;
  Rounds rounds(parallel_);
  for (std::uint32_t tile = 0; tile < count;) {
    TRY(const PagedTensors::Tiles tiles,
        weights_.paged->tiles_from(weights_.head.paged(), scratch_.missing, tile));
    part.w.blocks = tiles.runs;
    for (const RowBlock& run : tiles.runs) {
      part.only = {run.first_row, run.rows};
      rounds.add(part);
    }
    rounds.finish();
    CHECK(tiles.next > tile);
    tile = tiles.next;
  }
  return {};
}

}  // namespace skein
