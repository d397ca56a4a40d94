// A random matrix in stored form, cut into row blocks; input vectors with their int8 form; a
// Parallel that runs tasks backwards. Tests only.
#pragma once

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/ops/matmul.h"
#include "kernels/ops/neurons.h"
#include "tests/support/random_floats.h"

namespace skein::test {

struct CacheLine {
  alignas(64) std::byte bytes[64];
};

class StoredMatrix {
 public:
  // block_rows: rows in a block (kTiles: a multiple of 16); 0 = one block.
  StoredMatrix(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols,
               std::uint64_t seed, std::uint32_t block_rows = 0)
      : values(random_floats(std::size_t{rows} * cols, seed)),
        format_(format),
        layout_(layout),
        rows_(rows),
        cols_(cols) {
    if (block_rows == 0) block_rows = rows;
    for (std::uint32_t first = 0; first < rows; first += block_rows) {
      const std::uint32_t count = std::min(block_rows, rows - first);
      const std::span<float> part =
          std::span(values).subspan(std::size_t{first} * cols, std::size_t{count} * cols);
      const std::uint64_t size = stored_bytes(format, layout, count, cols);
      storage_.emplace_back((size + 63) / 64);
      const MutableByteView stored = std::as_writable_bytes(std::span(storage_.back())).first(size);
      encode(format, layout, count, cols, part, stored);
      decode(format, layout, count, cols, stored, part);
      blocks_.push_back({stored.data(), first, count});
    }
  }

  MatrixView view() const { return {format_, layout_, rows_, cols_, blocks_}; }
  MutableByteView bytes() { return std::as_writable_bytes(std::span(storage_[0])); }

  std::vector<float> values;  // what is stored, after rounding to the format

 private:
  Format format_;
  Layout layout_;
  std::uint32_t rows_;
  std::uint32_t cols_;
  std::vector<std::vector<CacheLine>> storage_;
  std::vector<RowBlock> blocks_;
};

// Input vectors of `cols` floats, one after another, with their int8 form.
struct InputRows {
  InputRows(std::vector<float> x, std::uint32_t cols_)
      : values(std::move(x)),
        cols(cols_),
        rows(static_cast<std::uint32_t>(values.size() / cols_)),
        codes(std::size_t{rows} * groups_of(cols) * kGroup),
        scales(std::size_t{rows} * groups_of(cols)),
        sums(scales.size()) {
    const std::size_t groups = groups_of(cols);
    for (std::size_t i = 0; i < rows; ++i) {
      quantize_input(std::span(values).subspan(i * cols, cols),
                     {std::span(codes).subspan(i * groups * kGroup, groups * kGroup),
                      std::span(scales).subspan(i * groups, groups),
                      std::span(sums).subspan(i * groups, groups)});
    }
  }
  explicit InputRows(const std::vector<float>& x)
      : InputRows(x, static_cast<std::uint32_t>(x.size())) {}
  Inputs view() const {
    return {values.data(), codes.data(), scales.data(), sums.data(), rows, cols};
  }

  std::vector<float> values;
  std::uint32_t cols;
  std::uint32_t rows;
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
};

// W x for each input, one after another.
inline std::vector<float> product(const StoredMatrix& w, const InputRows& x, Parallel& parallel) {
  std::vector<float> y(std::size_t{x.rows} * w.view().rows, -1);
  const Product one = {w.view(), x.view(), y.data()};
  matmul(std::span(&one, 1), parallel);
  return y;
}

inline std::vector<float> row_bounds(const MatrixView& w) {
  if (!is_quantized(w.format)) return {};
  std::vector<float> bounds(w.rows);
  find_row_bounds(w, bounds);
  return bounds;
}

// The sums over neurons for each vector of h.
inline std::vector<float> neuron_sums(const StoredMatrix& w, std::span<const float> h,
                                      Parallel& parallel) {
  const auto rows = static_cast<std::uint32_t>(h.size() / w.view().rows);
  std::vector<float> y(std::size_t{rows} * w.view().cols, -1);
  const std::vector<float> bounds = row_bounds(w.view());
  neuron_matmul({{w.view(), bounds}, h.data(), y.data(), rows}, parallel);
  return y;
}

// Says it has three threads and runs the tasks last to first.
class ShuffledParallel final : public Parallel {
 public:
  std::size_t threads() const override { return 3; }
  void for_each(std::size_t count, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = count; i > 0; --i) body(i - 1);
    tasks_run += count;
  }
  std::size_t tasks_run = 0;
};

}  // namespace skein::test
