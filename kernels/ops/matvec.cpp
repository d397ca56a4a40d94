// Cuts a product into tasks and hands each to the current instruction set's loop. The cut depends
// on nothing but shapes, and no sum crosses it.
#include "kernels/ops/matvec.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/internal/packed.h"
#include "kernels/ops/internal/tasks.h"

namespace skein {
namespace {

// Below this a hand-over to another thread costs more than it saves.
constexpr std::uint64_t kTaskBytes = std::uint64_t{64} * 1024;
constexpr std::uint32_t kTaskColumns = 256;  // multiple of kGroup

std::uint32_t groups_of(std::uint32_t cols) { return (cols + kGroup - 1) / kGroup; }

// The block that holds stored row `row`.
const RowBlock& block_of(const MatrixView& w, std::uint32_t row) {
  auto after = std::upper_bound(
      w.blocks.begin(), w.blocks.end(), row,
      [](std::uint32_t wanted, const RowBlock& block) { return wanted < block.first_row; });
  return *(after - 1);
}

struct MatvecJob {
  const MatrixView& w;
  const ActivationView& x;
  std::span<float> y;
  const KernelTable& kernels;
  std::uint64_t tile_bytes;
  std::uint32_t tiles_per_task;

  void run(std::size_t task) const {
    std::uint32_t tile = static_cast<std::uint32_t>(task) * tiles_per_task;
    const std::uint32_t last = std::min(tile + tiles_per_task, tiles());
    while (tile < last) {
      const RowBlock& block = block_of(w, tile * kTileRows);
      const std::uint32_t first = block.first_row / kTileRows;
      const std::uint32_t held = (block.rows + kTileRows - 1) / kTileRows;
      const std::uint32_t count = std::min(last, first + held) - tile;
      multiply(block.data + (tile - first) * tile_bytes, tile, count);
      tile += count;
    }
  }

  std::uint32_t tiles() const { return (w.rows + kTileRows - 1) / kTileRows; }

  // The last tile may be partly empty: its 16 sums go through a buffer.
  void multiply(const std::byte* data, std::uint32_t tile, std::uint32_t count) const {
    float* const out = y.data() + std::size_t{tile} * kTileRows;
    const std::uint32_t whole = std::min(count, w.rows / kTileRows - tile);
    if (whole != 0) call(data, whole, out);
    if (whole == count) return;
    std::array<float, kTileRows> sums;
    call(data + whole * tile_bytes, 1, sums.data());
    std::copy_n(sums.data(), w.rows % kTileRows, out + std::size_t{whole} * kTileRows);
  }

  void call(const std::byte* data, std::uint32_t count, float* out) const {
    const auto quantized = [&](KernelTable::TilesQ8 kernel) {
      kernel(data, count, groups_of(w.cols), x.codes.data(), x.scales.data(), out);
    };
    switch (w.format) {
      case Format::kF32:
        return kernels.tiles_f32(data, count, w.cols, x.values.data(), out);
      case Format::kBf16:
        return kernels.tiles_bf16(data, count, w.cols, x.values.data(), out);
      case Format::kF16:
        return kernels.tiles_f16(data, count, w.cols, x.values.data(), out);
      case Format::kQ8:
        return quantized(kernels.tiles_q8);
      case Format::kQ6:
        return quantized(kernels.tiles_q6);
      case Format::kQ5:
        return quantized(kernels.tiles_q5);
      case Format::kQ4:
        return quantized(kernels.tiles_q4);
    }
  }
};

struct AccumulateJob {
  const MatrixView& w;
  std::span<const float> h;
  std::span<const std::uint32_t> active;
  std::span<float> y;
  const KernelTable& kernels;
  std::uint64_t row_bytes;

  void run(std::size_t task) const {
    const std::uint32_t first = static_cast<std::uint32_t>(task) * columns_per_task;
    const std::uint32_t count = std::min(columns_per_task, w.cols - first);
    float* const out = y.data() + first;
    std::fill_n(out, count, 0.0F);
    RowBatch batch;
    const std::size_t start = start_of(first);
    if (w.format == Format::kQ8) {
      batch.scales_at = std::size_t{groups_of(w.cols)} * kGroup - first + first / kGroup * 2ULL;
    }
    auto block = w.blocks.begin();
    const auto fill = [&](RowBatch& next, std::size_t from) {
      next.count = 0;
      for (; from < active.size() && next.count < RowBatch::kMost; ++from) {
        const std::uint32_t row = active[from];
        while (row - block->first_row >= block->rows) ++block;
        next.rows[next.count] = block->data + (row - block->first_row) * row_bytes + start;
        next.h[next.count++] = h[row];
      }
    };
    RowBatch next = batch;
    fill(next, 0);
    for (std::size_t from = RowBatch::kMost; next.count != 0; from += RowBatch::kMost) {
      batch = next;
      fill(next, from);
      for (std::uint32_t i = 0; i < RowBatch::kMost; ++i) {
        batch.soon[i] = i < next.count ? next.rows[i] : batch.rows[0];
      }
      add(batch, count, out);
    }
  }

  // Where column `first`, the first of a group, begins in a row.
  std::size_t start_of(std::uint32_t first) const {
    if (w.format == Format::kQ8) return first;
    if (!is_quantized(w.format)) return first * (w.format == Format::kF32 ? 4ULL : 2ULL);
    return first / kGroup * packed_group_bytes(packed_bits(w.format));
  }

  void add(const RowBatch& batch, std::uint32_t count, float* out) const {
    switch (w.format) {
      case Format::kF32:
        return kernels.add_rows_f32(batch, count, out);
      case Format::kBf16:
        return kernels.add_rows_bf16(batch, count, out);
      case Format::kF16:
        return kernels.add_rows_f16(batch, count, out);
      case Format::kQ8:
        return kernels.add_rows_q8(batch, count, out);
      case Format::kQ6:
        return kernels.add_rows_q6(batch, count, out);
      case Format::kQ5:
        return kernels.add_rows_q5(batch, count, out);
      case Format::kQ4:
        return kernels.add_rows_q4(batch, count, out);
    }
  }

  std::uint32_t columns_per_task;
};

}  // namespace

void quantize_activation(std::span<const float> x, std::span<std::int8_t> codes,
                         std::span<float> scales) {
  CHECK(scales.size() == (x.size() + kGroup - 1) / kGroup);
  CHECK(codes.size() == scales.size() * kGroup);
  const std::size_t whole = x.size() / kGroup;
  const KernelTable& kernels = current_kernels();
  kernels.quantize(x.data(), static_cast<std::uint32_t>(whole), codes.data(), scales.data());
  if (whole == scales.size()) return;
  std::array<float, kGroup> last{};
  std::ranges::copy(x.subspan(whole * kGroup), last.begin());
  kernels.quantize(last.data(), 1, &codes[whole * kGroup], &scales[whole]);
}

void matvec(const MatrixView& w, const ActivationView& x, std::span<float> y, Parallel& parallel) {
  CHECK(w.layout == Layout::kTiles);
  CHECK(y.size() == w.rows && x.values.size() == w.cols);
  if (is_quantized(w.format)) {
    CHECK(x.scales.size() == groups_of(w.cols) && x.codes.size() == x.scales.size() * kGroup);
  }
  if (w.rows == 0) return;
  const std::uint64_t tile_bytes = stored_bytes(w.format, Layout::kTiles, kTileRows, w.cols);
  const std::uint64_t per_task = std::max<std::uint64_t>(1, kTaskBytes / (tile_bytes + 1));
  MatvecJob job{w, x, y, current_kernels(), tile_bytes, static_cast<std::uint32_t>(per_task)};
  run_tasks(parallel, (job.tiles() + per_task - 1) / per_task, job);
}

std::uint32_t sparse_accumulate(const MatrixView& w, std::span<const float> h,
                                std::span<std::uint32_t> active, std::span<float> y,
                                Parallel& parallel) {
  CHECK(w.layout == Layout::kRows);
  CHECK(h.size() == w.rows && y.size() == w.cols && active.size() >= h.size());
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < w.rows; ++i) {
    active[count] = i;
    count += h[i] != 0 ? 1U : 0U;
  }
  const std::uint64_t row_bytes = stored_bytes(w.format, Layout::kRows, 1, w.cols);
  const bool alone = parallel.threads() <= 1 || count * row_bytes <= kTaskBytes;
  AccumulateJob job{
      w, h, active.first(count), y, current_kernels(), row_bytes, alone ? w.cols : kTaskColumns};
  if (w.cols == 0) return count;
  run_tasks(parallel, (w.cols + job.columns_per_task - 1) / job.columns_per_task, job);
  return count;
}

void read_row(Format format, std::uint32_t cols, const std::byte* row, std::span<float> out) {
  CHECK(out.size() == cols);
  const ByteView stored(row, stored_bytes(format, Layout::kRows, 1, cols));
  decode(format, Layout::kRows, 1, cols, stored, out);
}

}  // namespace skein
