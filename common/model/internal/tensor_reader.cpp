#include "common/model/internal/tensor_reader.h"

#include <algorithm>

namespace skein {
namespace {

constexpr const char* kRemedy = "import the checkpoint again";

tl::unexpected<Error> misshapen(const std::string& name, std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "tensor " + name, kRemedy);
}

std::string shape_text(std::uint64_t rows, std::uint64_t cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

}  // namespace

bool TensorReader::has(const std::string& name) const { return find(name).has_value(); }

std::optional<Layout> TensorReader::layout_of(const std::string& name) const {
  const auto found = find(name);
  return found ? std::optional((*found)->layout) : std::nullopt;
}

std::uint32_t TensorReader::stored_rows(const std::string& name) const {
  const auto found = find(name);
  return found ? (*found)->rows : 0;
}

Result<const TensorEntry*> TensorReader::find(const std::string& name) const {
  const auto& tensors = pages_.manifest().tensors;
  const auto found = std::ranges::find(tensors, name, &TensorEntry::name);
  if (found == tensors.end()) return misshapen(name, "the model lacks this tensor");
  return &*found;
}

// Segments come from a checked manifest or from this process; the bytes are still only trusted as
// far as the page reaches.
Result<Matrix> TensorReader::blocks_of(const TensorEntry& tensor) {
  Matrix matrix(tensor.name, {tensor.format, tensor.layout, tensor.rows, tensor.cols, {}});
  std::uint64_t next = 0;
  for (const Segment& segment : tensor.segments) {
    TRY(const ByteView page, pages_.page(PageIndex(segment.page)));
    const std::uint64_t bytes =
        stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
    const bool inside = segment.offset <= page.size() && bytes <= page.size() - segment.offset;
    const bool whole_tiles = tensor.layout == Layout::kRows || segment.first_row % kTileRows == 0;
    if (!inside || !whole_tiles || segment.rows == 0 || segment.first_row != next) {
      return misshapen(tensor.name, "its segments do not cover it");
    }
    matrix.add({page.data() + segment.offset, segment.first_row, segment.rows});
    next += segment.rows;
  }
  if (next != tensor.rows) return misshapen(tensor.name, "its segments do not cover it");
  return matrix;
}

Result<const TensorEntry*> TensorReader::find(const std::string& name,
                                              const MatrixShape& shape) const {
  TRY(const TensorEntry* tensor, find(name));
  const bool fits = tensor->rows != 0 && tensor->cols != 0 &&
                    (shape.rows == 0 || shape.rows == tensor->rows) &&
                    (shape.cols == 0 || shape.cols == tensor->cols);
  if (!fits || tensor->layout != shape.layout) {
    return misshapen(name, "stored as " + shape_text(tensor->rows, tensor->cols) + " " +
                               std::string(name_of(tensor->layout)) + ", expected " +
                               shape_text(shape.rows, shape.cols) + " " +
                               std::string(name_of(shape.layout)));
  }
  return tensor;
}

Result<Matrix> TensorReader::matrix(const std::string& name, const MatrixShape& shape) {
  TRY(const TensorEntry* tensor, find(name, shape));
  const auto index = static_cast<std::uint32_t>(tensor - pages_.manifest().tensors.data());
  if (pages_.paged() == nullptr || !pages_.paged()->is_paged(index)) return blocks_of(*tensor);
  TRY_VOID(check_cover(*tensor));
  Matrix matrix(tensor->name, {tensor->format, tensor->layout, tensor->rows, tensor->cols, {}});
  matrix.set_paged(index);
  return matrix;
}

Result<std::vector<float>> TensorReader::row_bounds(const Matrix& matrix) {
  std::vector<float> bounds(matrix.rows());
  if (!matrix.is_paged()) {
    find_row_bounds(matrix.view(), bounds);
    return bounds;
  }
  const TensorEntry& tensor = pages_.manifest().tensors[matrix.paged()];
  Buffer stored;
  for (const Segment& segment : tensor.segments) {
    stored.resize(stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols));
    TRY_VOID(pages_.read(PageIndex(segment.page), segment.offset, stored));
    const RowBlock block = {stored.data(), 0, segment.rows};
    const MatrixView part = {tensor.format, tensor.layout, segment.rows, tensor.cols,
                             std::span(&block, 1)};
    find_row_bounds(part, std::span(bounds).subspan(segment.first_row, segment.rows));
  }
  return bounds;
}

// The same as blocks_of checks, without looking at a page.
Result<void> TensorReader::check_cover(const TensorEntry& tensor) const {
  std::uint64_t next = 0;
  for (const Segment& segment : tensor.segments) {
    const auto& sizes = pages_.manifest().pages;
    const std::uint64_t size = segment.page < sizes.size() ? sizes[segment.page].bytes : 0;
    const std::uint64_t bytes =
        stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
    if (segment.first_row != next || segment.rows == 0) break;
    if (segment.offset > size || bytes > size - segment.offset) break;
    next += segment.rows;
  }
  if (next != tensor.rows) return misshapen(tensor.name, "its segments do not cover it");
  return {};
}

Result<std::unique_ptr<EmbeddingTable>> TensorReader::embedding(const std::string& name,
                                                                const MatrixShape& shape) {
  TRY(const TensorEntry* tensor, find(name, shape));
  TRY_VOID(check_cover(*tensor));
  return std::make_unique<EmbeddingTable>(pages_, *tensor);
}

Result<std::vector<float>> TensorReader::vector(const std::string& name, std::size_t count) {
  TRY(const TensorEntry* tensor, find(name));
  const std::uint64_t held = std::uint64_t{tensor->rows} * tensor->cols;
  if (held != count || tensor->layout != Layout::kRows) {
    return misshapen(name, "holds " + std::to_string(held) + " values as " +
                               std::string(name_of(tensor->layout)) + ", expected " +
                               std::to_string(count) + " as rows");
  }
  TRY_VOID(check_cover(*tensor));
  std::vector<float> values(count);
  const std::span<float> all = values;
  Buffer stored;
  for (const Segment& segment : tensor->segments) {
    stored.resize(stored_bytes(tensor->format, tensor->layout, segment.rows, tensor->cols));
    TRY_VOID(pages_.read(PageIndex(segment.page), segment.offset, stored));
    decode(tensor->format, tensor->layout, segment.rows, tensor->cols, stored,
           all.subspan(std::size_t{segment.first_row} * tensor->cols,
                       std::size_t{segment.rows} * tensor->cols));
  }
  return values;
}

}  // namespace skein
