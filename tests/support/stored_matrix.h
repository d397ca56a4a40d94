// A random matrix in stored form, cut into row blocks; a quantized vector; a Parallel that runs
// tasks backwards. Tests only.
#pragma once

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/ops/matvec.h"
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

struct QuantizedVector {
  explicit QuantizedVector(std::vector<float> x)
      : values(std::move(x)),
        codes((values.size() + kGroup - 1) / kGroup * kGroup),
        scales((values.size() + kGroup - 1) / kGroup) {
    quantize_activation(values, codes, scales);
  }
  ActivationView view() const { return {values, codes, scales}; }

  std::vector<float> values;
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
};

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
