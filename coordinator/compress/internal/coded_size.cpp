#include "coordinator/compress/internal/coded_size.h"

#include <algorithm>

#include "common/artifact/manifest.h"
#include "coordinator/compress/internal/uniform_rounding.h"
#include "kernels/codecs/integers.h"

namespace skein {
namespace {

class PageCoder {
 public:
  explicit PageCoder(Format format) : format_(format) {}

  std::size_t codes(std::span<const std::uint8_t> codes, std::span<const std::uint16_t> heads,
                    bool contexts) {
    std::size_t bytes = 0;
    for (std::size_t at = 0; at < codes.size(); at += kMaxPageCodes) {
      const std::size_t some = std::min<std::size_t>(kMaxPageCodes, codes.size() - at);
      classes_.clear();
      for (std::size_t i = 0; i < some && contexts; ++i) {
        classes_.push_back(step_class(format_, heads[(at + i) / kGroup]));
      }
      room_.resize(coded_page_bound(some));
      bytes += encode_page(codes.subspan(at, some), {classes_}, memory_, room_);
    }
    return bytes;
  }

  // A head's step is guessed from those of the row and of the group before it.
  std::size_t heads(std::span<const std::uint16_t> heads, std::size_t groups) {
    steps_.clear();
    zeros_.clear();
    const unsigned shift = format_ == Format::kQ8 ? 0 : 7;
    const auto step = [&](std::size_t i) { return static_cast<int>(heads[i] >> shift); };
    for (std::size_t i = 0; i < heads.size(); ++i) {
      const bool first_row = i < groups;
      const bool first_group = i % groups == 0;
      int guess = 0;
      if (first_row && !first_group) guess = step(i - 1);
      if (!first_row) guess = step(i - groups);
      if (!first_row && !first_group) guess += step(i - 1) - step(i - groups - 1);
      steps_.push_back(static_cast<std::int16_t>(step(i) - guess));
      zeros_.push_back(static_cast<std::uint8_t>(heads[i] & 127U));
    }
    room_.resize(integers_bound(heads.size()));
    std::size_t bytes = encode_integers(steps_, {}, memory_, room_);
    if (shift != 0) bytes += encode_page(zeros_, {}, memory_, room_);
    return bytes;
  }

 private:
  Format format_;
  CodecMemory memory_;
  std::vector<std::uint8_t> classes_;
  std::vector<std::int16_t> steps_;
  std::vector<std::uint8_t> zeros_;
  Buffer room_;
};

}  // namespace

CodedSize coded_size(const GroupCodes& rounded, const StoredValues& matrix, Format format,
                     bool contexts) {
  const std::size_t groups = matrix.cols / kGroup;
  const std::uint64_t row_bytes = stored_bytes(format, Layout::kRows, 1, matrix.cols);
  std::size_t rows = std::max<std::size_t>(kTargetPageBytes / row_bytes, 1);
  if (matrix.layout == Layout::kTiles)
    rows = std::max<std::size_t>(rows / kTileRows, 1) * kTileRows;
  PageCoder coder(format);
  CodedSize size;
  for (std::size_t row = 0; row < matrix.rows; row += rows) {
    const std::size_t some = std::min<std::size_t>(rows, matrix.rows - row);
    const auto heads = std::span(rounded.heads).subspan(row * groups, some * groups);
    const auto codes = std::span(rounded.codes).subspan(row * matrix.cols, some * matrix.cols);
    size.codes += coder.codes(codes, heads, contexts);
    size.heads += coder.heads(heads, groups);
  }
  return size;
}

}  // namespace skein
