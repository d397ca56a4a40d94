// TensorReader: an artifact's tensors, each checked against the shape the architecture wants.
// Lives while a Model opens; one thread.
#pragma once

#include <optional>
#include <string>

#include "common/artifact/page_source.h"
#include "common/model/weights.h"

namespace skein {

struct MatrixShape {
  Layout layout = Layout::kTiles;
  std::uint32_t rows = 0;  // 0 = any
  std::uint32_t cols = 0;  // 0 = any
};

class TensorReader {
 public:
  explicit TensorReader(PageSource& pages) : pages_(pages) {}

  bool has(const std::string& name) const;
  std::optional<Layout> layout_of(const std::string& name) const;  // nullopt: there is none
  std::uint32_t stored_rows(const std::string& name) const;        // 0: there is none
  Result<Matrix> matrix(const std::string& name, const MatrixShape& shape);
  // Its pages are not looked at.
  Result<std::unique_ptr<EmbeddingTable>> embedding(const std::string& name,
                                                    const MatrixShape& shape);
  // Bounds of a quantized neuron-major matrix's rows, found in its pages.
  Result<std::vector<float>> row_bounds(const Matrix& matrix);
  // All elements of a kRows tensor in row order: `count` floats, copied out of its pages.
  Result<std::vector<float>> vector(const std::string& name, std::size_t count);

 private:
  Result<const TensorEntry*> find(const std::string& name) const;
  Result<const TensorEntry*> find(const std::string& name, const MatrixShape& shape) const;
  Result<void> check_cover(const TensorEntry& tensor) const;
  Result<Matrix> blocks_of(const TensorEntry& tensor);
  PageSource& pages_;
};

}  // namespace skein
