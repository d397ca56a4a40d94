#include "common/predict/internal/parts.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace skein::predict {

std::span<float> Input::shape(std::uint32_t width) {
  const std::size_t groups = groups_of(width);
  values_.resize(width);
  codes_.resize(groups * kGroup);
  scales_.resize(groups);
  sums_.resize(groups);
  return values_;
}

void Input::make_codes() { quantize_input(values_, {codes_, scales_, sums_}); }

Inputs Input::view() const {
  return {values_.data(),
          codes_.data(),
          scales_.data(),
          sums_.data(),
          1,
          static_cast<std::uint32_t>(values_.size())};
}

ResidentMatrix::ResidentMatrix(std::uint32_t rows, std::uint32_t cols,
                               std::span<const float> values)
    : rows_(rows), cols_(cols), bytes_(stored_bytes(Format::kQ8, Layout::kTiles, rows, cols)) {
  lines_ = std::make_unique<Line[]>((bytes_ + sizeof(Line) - 1) / sizeof(Line));
  auto* const data = reinterpret_cast<std::byte*>(lines_.get());
  encode(Format::kQ8, Layout::kTiles, rows, cols, values, {data, bytes_});
  block_ = {data, 0, rows};
}

MatrixView ResidentMatrix::view() const {
  return {Format::kQ8, Layout::kTiles, rows_, cols_, std::span(&block_, 1)};
}

void multiply(const MatrixView& w, Input& x, std::span<float> y) {
  CHECK(y.size() == w.rows);
  const Product product = {w, x.view(), y.data()};
  SerialParallel serial;
  matmul(std::span(&product, 1), serial);
}

bool PartReader::has(std::string_view part) const {
  return find_tensor(pages_.manifest(), predictor_part(layer_, part)) != nullptr;
}

Result<const TensorEntry*> PartReader::find(std::string_view part, std::uint32_t rows,
                                            std::uint32_t cols) {
  const std::string name = predictor_part(layer_, part);
  const char* const remedy = "compress the model again, or without a predictor";
  const TensorEntry* const tensor = find_tensor(pages_.manifest(), name);
  if (tensor == nullptr) {
    return fail(Errc::kCorrupt, "the model's predictor lacks this part", "tensor " + name, remedy);
  }
  const bool fits = (rows == 0 || tensor->rows == rows) && (cols == 0 || tensor->cols == cols) &&
                    tensor->rows != 0 && tensor->cols != 0;
  if (fits && tensor->layout == Layout::kRows && !is_quantized(tensor->format)) return tensor;
  return fail(Errc::kCorrupt,
              "a part of the model's predictor is " + std::to_string(tensor->rows) + " x " +
                  std::to_string(tensor->cols) + " as " + std::string(name_of(tensor->layout)) +
                  " of " + std::string(name_of(tensor->format)) + ", expected " +
                  std::to_string(rows) + " x " + std::to_string(cols) + " as plain rows (0 = any)",
              "tensor " + name, remedy);
}

Result<Buffer> PartReader::stored(const TensorEntry& tensor) {
  Buffer all(stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols));
  const std::uint64_t row_bytes = stored_bytes(tensor.format, tensor.layout, 1, tensor.cols);
  std::uint64_t next = 0;
  for (const Segment& segment : tensor.segments) {
    if (segment.first_row != next || segment.rows > tensor.rows - next) break;
    const MutableByteView out =
        MutableByteView(all).subspan(next * row_bytes, segment.rows * row_bytes);
    TRY_VOID(pages_.read(PageIndex(segment.page), segment.offset, out));
    next += segment.rows;
  }
  if (next == tensor.rows) return all;
  return fail(Errc::kCorrupt, "its segments do not cover it", "tensor " + tensor.name,
              "fetch the artifact again");
}

Result<std::vector<float>> PartReader::values(std::string_view part, std::uint32_t rows,
                                              std::uint32_t cols) {
  TRY(const TensorEntry* const tensor, find(part, rows, cols));
  TRY(const Buffer bytes, stored(*tensor));
  std::vector<float> values(std::size_t{tensor->rows} * tensor->cols);
  decode(tensor->format, tensor->layout, tensor->rows, tensor->cols, bytes, values);
  if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return values;
  return fail(Errc::kCorrupt, "a part of the model's predictor holds a value that is no number",
              "tensor " + tensor->name, "compress the model again, or without a predictor");
}

Result<ResidentMatrix> PartReader::matrix(std::string_view part, std::uint32_t rows,
                                          std::uint32_t cols) {
  TRY(const TensorEntry* const tensor, find(part, rows, cols));
  TRY(const std::vector<float> all, values(part, rows, cols));
  return ResidentMatrix(tensor->rows, tensor->cols, all);
}

Result<std::vector<std::uint8_t>> PartReader::byte_values(std::string_view part, std::uint32_t rows,
                                                          std::uint32_t cols) {
  TRY(const std::vector<float> all, values(part, rows, cols));
  std::vector<std::uint8_t> bytes;
  bytes.reserve(all.size());
  for (const float value : all) {
    if (!(value >= 0 && value <= 255)) {
      return fail(Errc::kCorrupt, "the signs of the predictor are not bytes",
                  "tensor " + predictor_part(layer_, part),
                  "compress the model again, or without a predictor");
    }
    bytes.push_back(static_cast<std::uint8_t>(value));
  }
  return bytes;
}

}  // namespace skein::predict
