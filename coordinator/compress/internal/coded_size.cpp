#include "coordinator/compress/internal/coded_size.h"

#include <algorithm>

#include "kernels/codecs/quantized.h"

namespace skein {

std::uint64_t coded_bytes(const TensorEntry& tensor, ByteView stored) {
  const std::uint64_t row_bytes = stored_bytes(tensor.format, Layout::kRows, 1, tensor.cols);
  auto rows = static_cast<std::uint32_t>(std::max<std::uint64_t>(kTargetPageBytes / row_bytes, 1));
  if (tensor.layout == Layout::kTiles) rows = std::max(rows / kTileRows, 1U) * kTileRows;
  QuantizedMemory memory;
  Buffer coded;
  for (std::uint32_t row = 0; row < tensor.rows; row += rows) {
    const QuantizedShape shape{tensor.format, tensor.layout, std::min(rows, tensor.rows - row),
                               tensor.cols};
    encode_quantized(shape, stored.first(shape.bytes()), memory, coded);
    stored = stored.subspan(shape.bytes());
  }
  return coded.size();
}

Result<std::uint64_t> coded_bytes(PageSource& pages) {
  const auto parts = parts_of_pages(pages.manifest());
  PageCoder coder;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    TRY(const ByteView page, pages.page(PageIndex(static_cast<std::uint32_t>(i))));
    bytes += coder.code(page, parts[i]).size();
  }
  return bytes;
}

}  // namespace skein
