// Cuts products into tasks and hands each to the current instruction set's loop. The cut depends on
// nothing but shapes, and no sum crosses it.
#include "kernels/ops/matmul.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "kernels/ops/internal/dispatch.h"

namespace skein {
namespace {

// Weights of one task for a single input: below, a hand-over to another thread costs more than it
// saves. With many inputs a tile is work enough.
constexpr std::uint64_t kTaskBytes = std::uint64_t{64} * 1024;
// A matrix of so many tiles is cut into pairs for several inputs: what multiplies two tiles at once
// reads the inputs half as often, and there are tasks enough.
constexpr std::uint32_t kManyTiles = 64;

std::uint32_t tiles_of(const MatrixView& w) { return (w.rows + kTileRows - 1) / kTileRows; }
std::uint64_t tile_bytes_of(const MatrixView& w) {
  return stored_bytes(w.format, Layout::kTiles, kTileRows, w.cols);
}

// The block that holds stored row `row`.
const RowBlock& block_of(const MatrixView& w, std::uint32_t row) {
  auto after = std::upper_bound(
      w.blocks.begin(), w.blocks.end(), row,
      [](std::uint32_t wanted, const RowBlock& block) { return wanted < block.first_row; });
  return *(after - 1);
}

void check(const Product& product) {
  CHECK(product.w.layout == Layout::kTiles && product.w.cols == product.x.cols);
  CHECK(product.only.first % kTileRows == 0);
  const bool has_codes = product.x.codes != nullptr && product.x.scales != nullptr;
  CHECK(has_codes || !is_quantized(product.w.format));
}

// A product with what every task of it needs to know.
struct Cut {
  Cut() = default;
  explicit Cut(const Product& of)
      : product(&of),
        kernel(tiles_kernel(current_kernels(), of.w.format)),
        tile_bytes(tile_bytes_of(of.w)) {
    const std::uint64_t bytes = (tile_bytes + 1) * of.x.rows;
    each = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kTaskBytes / bytes));
    const bool pairs = of.x.rows > 1 && tiles_of(of.w) >= kManyTiles;
    if (pairs || of.finish.run != nullptr) each = (each + 1) / 2 * 2;  // whole groups of outputs
    first_tile = std::min(of.only.first, of.w.rows) / kTileRows;
    const std::uint32_t rows = of.w.rows - first_tile * kTileRows;
    last_tile = first_tile + (std::min(of.only.count, rows) + kTileRows - 1) / kTileRows;
    tasks = (last_tile - first_tile + each - 1) / each;
  }

  // Tiles [first, first + count), as far as there are any.
  void multiply(std::uint32_t first, std::uint32_t count) const {
    const std::uint32_t last = std::min(first + count, last_tile);
    for (std::uint32_t tile = first; tile < last;) {
      const RowBlock& block = block_of(product->w, tile * kTileRows);
      const std::uint32_t start = block.first_row / kTileRows;
      const std::uint32_t held = (block.rows + kTileRows - 1) / kTileRows;
      const std::uint32_t run = std::min(last, start + held) - tile;
      multiply_in_block(block.data + (tile - start) * tile_bytes, tile, run);
      tile += run;
    }
  }

  // Whole tiles of one block, straight into y; a partly empty last tile goes through a buffer,
  // input by input.
  void multiply_in_block(const std::byte* data, std::uint32_t tile, std::uint32_t count) const {
    const std::uint32_t rows = product->w.rows;
    const std::uint32_t whole = std::min(count, rows / kTileRows - tile);
    float* const y = product->y + std::size_t{tile} * kTileRows;
    if (whole != 0) kernel({data, whole, &product->x, y, rows});
    if (whole == count) return;
    for (std::uint32_t i = 0; i < product->x.rows; ++i) {
      const Inputs one = product->x.row(i);
      std::array<float, kTileRows> sums;
      kernel({data + whole * tile_bytes, 1, &one, sums.data(), kTileRows});
      float* const out = y + std::size_t{i} * rows + std::size_t{whole} * kTileRows;
      std::copy_n(sums.data(), rows % kTileRows, out);
    }
  }

  void run(std::uint32_t task) const {
    const std::uint32_t tile = first_tile + task * each;
    multiply(tile, each);
    if (product->finish.run == nullptr) return;
    const std::uint32_t first = tile * kTileRows;
    const std::uint32_t tiles = std::min(each, last_tile - tile);
    const std::uint32_t count = std::min(tiles * kTileRows, product->w.rows - first);
    product->finish.run(product->finish.context, first, count);
  }

  const Product* product = nullptr;
  KernelTable::Tiles kernel = nullptr;
  std::uint64_t tile_bytes = 0;
  std::uint32_t each = 0;  // tiles a task
  std::uint32_t first_tile = 0;
  std::uint32_t last_tile = 0;  // one past it
  std::uint32_t tasks = 0;
};

struct MatmulJob {
  std::span<const Cut> cuts;

  void run(std::size_t task) const {
    for (const Cut& cut : cuts) {
      if (task < cut.tasks) return cut.run(static_cast<std::uint32_t>(task));
      task -= cut.tasks;
    }
  }
};

}  // namespace

Inputs Inputs::row(std::uint32_t index) const {
  const std::size_t groups = groups_of(cols);
  Inputs one{.rows = 1, .cols = cols};
  one.values = values == nullptr ? nullptr : values + std::size_t{index} * cols;
  if (codes == nullptr) return one;
  one.codes = codes + index * groups * kGroup;
  one.scales = scales + index * groups;
  one.sums = sums + index * groups;
  return one;
}

void quantize_input(std::span<const float> x, const InputCodes& out) {
  CHECK(out.scales.size() == (x.size() + kGroup - 1) / kGroup);
  CHECK(out.sums.size() == out.scales.size() && out.codes.size() == out.scales.size() * kGroup);
  const std::size_t whole = x.size() / kGroup;
  const KernelTable& kernels = current_kernels();
  kernels.quantize(x.data(), static_cast<std::uint32_t>(whole), out.codes.data(), out.scales.data(),
                   out.sums.data());
  if (whole == out.scales.size()) return;
  std::array<float, kGroup> last{};
  std::ranges::copy(x.subspan(whole * kGroup), last.begin());
  kernels.quantize(last.data(), 1, &out.codes[whole * kGroup], &out.scales[whole],
                   &out.sums[whole]);
}

void matmul(std::span<const Product> products, Parallel& parallel) {
  CHECK(products.size() <= kMostProducts);
  std::array<Cut, kMostProducts> cuts;
  std::size_t count = 0;
  std::size_t tasks = 0;
  for (const Product& product : products) {
    check(product);
    if (product.x.rows == 0) continue;
    cuts[count] = Cut(product);
    tasks += cuts[count++].tasks;
  }
  MatmulJob job{std::span(cuts).first(count)};
  run_tasks(parallel, tasks, job);
}

void read_row(Format format, std::uint32_t cols, const std::byte* row, std::span<float> out) {
  CHECK(out.size() == cols);
  const ByteView stored(row, stored_bytes(format, Layout::kRows, 1, cols));
  decode(format, Layout::kRows, 1, cols, stored, out);
}

}  // namespace skein
