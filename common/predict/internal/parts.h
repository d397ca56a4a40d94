// The pieces that scores are made of: a matrix copied into memory in tiles, and the guess of what
// the key matrix will multiply. Owned by NeuronPredictor's layers; one thread.
#pragma once

#include <memory>
#include <optional>

#include "common/predict/neuron_predictor.h"

namespace skein::predict {

// What a resident matrix multiplies, with its codes.
class Input {
 public:
  std::span<float> shape(std::uint32_t width);
  void make_codes();
  Inputs view() const;

 private:
  std::vector<float> values_;
  std::vector<std::int8_t> codes_;
  std::vector<float> scales_;
  std::vector<std::int32_t> sums_;
};

// y = W x with W in q8 tiles.
class ResidentMatrix {
 public:
  ResidentMatrix() = default;
  // values: (rows, cols) row-major.
  ResidentMatrix(std::uint32_t rows, std::uint32_t cols, std::span<const float> values);
  std::uint32_t rows() const { return rows_; }
  std::uint32_t cols() const { return cols_; }
  std::uint64_t bytes() const { return bytes_; }
  MatrixView view() const;

 private:
  struct Line {
    alignas(64) std::byte bytes[64];
  };
  std::uint32_t rows_ = 0;
  std::uint32_t cols_ = 0;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<Line[]> lines_;
  RowBlock block_;
};

// y.size() == w.rows
void multiply(const MatrixView& w, Input& x, std::span<float> y);

// Reads a layer's parts.
class PartReader {
 public:
  PartReader(PageSource& pages, std::uint32_t layer) : pages_(pages), layer_(layer) {}
  bool has(std::string_view part) const;
  // rows x cols values of a plain format, finite; 0 = any.
  Result<std::vector<float>> values(std::string_view part, std::uint32_t rows, std::uint32_t cols);
  // A matrix of that part; rows or cols 0 = any.
  Result<ResidentMatrix> matrix(std::string_view part, std::uint32_t rows, std::uint32_t cols);
  // Numbers from 0 to 255.
  Result<std::vector<std::uint8_t>> byte_values(std::string_view part, std::uint32_t rows,
                                                std::uint32_t cols);

 private:
  Result<const TensorEntry*> find(std::string_view part, std::uint32_t rows, std::uint32_t cols);
  Result<Buffer> stored(const TensorEntry& tensor);
  PageSource& pages_;
  std::uint32_t layer_;
};

}  // namespace skein::predict
