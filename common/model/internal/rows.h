// RowBuffer and InputBuffer: the vectors of a pass, one row a token, one after another. Owned by a
// Workspace; they grow to the largest pass and never shrink, so a warm pass allocates nothing. Rows
// may be written from several threads, each its own.
#pragma once

#include <span>
#include <vector>

#include "common/base/check.h"
#include "kernels/ops/matmul.h"

namespace skein {

using Span = std::span<float>;
using View = std::span<const float>;

// Channels [first, first + count) of a row; first is a multiple of kGroup.
struct Columns {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

// A view of such rows.
struct Rows {
  Span all;
  std::uint32_t width = 0;
  std::uint32_t count() const { return static_cast<std::uint32_t>(all.size() / width); }
  Span row(std::uint32_t index) const { return all.subspan(std::size_t{index} * width, width); }
};

class RowBuffer {
 public:
  // `rows` vectors of `width`; their values are what was there before.
  void shape(std::uint32_t rows, std::uint32_t width) {
    rows_ = rows;
    width_ = width;
    const std::size_t needed = std::size_t{rows} * width;
    if (values_.size() < needed) values_.resize(needed);
  }
  Span row(std::uint32_t index) {
    CHECK(index < rows_);
    return Span(values_).subspan(std::size_t{index} * width_, width_);
  }
  View row(std::uint32_t index) const { return const_cast<RowBuffer*>(this)->row(index); }
  Span all() { return Span(values_).first(std::size_t{rows_} * width_); }
  std::uint32_t rows() const { return rows_; }
  std::uint32_t width() const { return width_; }

 private:
  std::vector<float> values_;
  std::uint32_t rows_ = 0;
  std::uint32_t width_ = 0;
};

// What matrices are multiplied with: rows and, where a quantized matrix reads them, their codes.
class InputBuffer : public RowBuffer {
 public:
  void shape(std::uint32_t rows, std::uint32_t width) {
    RowBuffer::shape(rows, width);
    make_room_for_codes();
  }
  // After rows were shaped as a product's result, before the first is quantized.
  void make_room_for_codes() {
    groups_ = groups_of(width());
    const std::size_t needed = std::size_t{rows()} * groups_;
    if (scales_.size() >= needed) return;
    scales_.resize(needed);
    sums_.resize(needed);
    codes_.resize(needed * kGroup);
  }
  // Columns [first, first + count) of a row: whole groups, or up to the row's end.
  void quantize(std::uint32_t index, std::uint32_t first, std::uint32_t count) {
    const std::size_t at = std::size_t{index} * groups_ + first / kGroup;
    const std::size_t groups = groups_of(count);
    quantize_input(row(index).subspan(first, count),
                   {std::span(codes_).subspan(at * kGroup, groups * kGroup),
                    std::span(scales_).subspan(at, groups), std::span(sums_).subspan(at, groups)});
  }
  void quantize(std::uint32_t index) { quantize(index, 0, width()); }
  Inputs view() const {
    return {row(0).data(), codes_.data(), scales_.data(), sums_.data(), rows(), width()};
  }

 private:
  std::uint32_t groups_ = 0;
  std::vector<std::int8_t> codes_;
  std::vector<float> scales_;
  std::vector<std::int32_t> sums_;
};

}  // namespace skein
