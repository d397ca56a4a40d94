// An artifact back to a checkpoint's tensors.
#include "coordinator/compress/internal/head_order.h"
#include "coordinator/compress/press.h"

namespace skein {
namespace {

std::uint32_t element_bytes(Format format) { return format == Format::kF32 ? 4 : 2; }

// The stored matrix's bytes, its segments joined in row order.
Result<Buffer> stored_matrix(PageSource& pages, const TensorEntry& tensor) {
  Buffer joined(stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols));
  std::uint64_t at = 0;
  for (const Segment& segment : tensor.segments) {
    TRY(const ByteView page, pages.page(PageIndex(segment.page)));
    const std::uint64_t bytes =
        stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
    CHECK(at + bytes <= joined.size() && segment.offset + bytes <= page.size());
    std::memcpy(joined.data() + at, page.data() + segment.offset, bytes);
    at += bytes;
  }
  return joined;
}

// (rows x cols) -> (cols x rows) of elements of `size` bytes.
Buffer transpose(ByteView matrix, std::uint32_t rows, std::uint32_t cols, std::uint32_t size) {
  Buffer out(matrix.size());
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) {
      std::memcpy(out.data() + (c * rows + r) * size, matrix.data() + (r * cols + c) * size, size);
    }
  }
  return out;
}

// Row-major elements in the checkpoint's orientation.
Result<Buffer> row_major(PageSource& pages, const TensorEntry& tensor, Format& format) {
  TRY(Buffer stored, stored_matrix(pages, tensor));
  Buffer rows;
  format = tensor.format;
  if (is_quantized(tensor.format)) {
    format = Format::kF32;
    std::vector<float> values(std::size_t{tensor.rows} * tensor.cols);
    decode(tensor.format, tensor.layout, tensor.rows, tensor.cols, stored, values);
    rows = to_buffer(std::as_bytes(std::span(values)));
  } else if (tensor.layout == Layout::kTiles) {
    const std::uint32_t size = element_bytes(tensor.format);
    rows.resize(std::size_t{tensor.rows} * tensor.cols * size);
    untile_elements(size, tensor.rows, tensor.cols, stored, rows);
  } else {
    rows = std::move(stored);
  }
  if (!tensor.transposed) return rows;
  return transpose(rows, tensor.rows, tensor.cols, element_bytes(format));
}

// The head's rows in the order of their tokens.
Result<void> put_back(PageSource& pages, Buffer& head) {
  const TensorEntry* stored = find_tensor(pages.manifest(), kHeadOrder);
  if (stored == nullptr) return {};
  Format format{};
  TRY(const Buffer numbers, row_major(pages, *stored, format));
  std::vector<float> values(std::size_t{stored->rows} * stored->cols);
  decode(format, Layout::kRows, stored->rows, stored->cols, numbers, values);
  std::vector<std::uint32_t> order;
  std::vector<bool> seen(values.size(), false);
  for (const float value : values) {
    const auto token = static_cast<std::size_t>(value >= 0 ? value : 0);
    if (!(value >= 0) || token >= seen.size() || seen[token]) {
      return fail(Errc::kCorrupt, "it is no order of the tokens", std::string(kHeadOrder),
                  "fetch the artifact again");
    }
    seen[token] = true;
    order.push_back(static_cast<std::uint32_t>(token));
  }
  if (order.empty() || head.size() % order.size() != 0) {
    return fail(Errc::kCorrupt, "it orders another number of rows than the head has",
                std::string(kHeadOrder), "fetch the artifact again");
  }
  head = rows_put_back(head, head.size() / order.size(), order);
  return {};
}

}  // namespace

Result<Checkpoint> tensors_of(PageSource& pages, std::vector<Buffer>& storage) {
  std::uint64_t total = 0;
  for (const TensorEntry& tensor : pages.manifest().tensors) {
    total += std::uint64_t{tensor.rows} * tensor.cols * sizeof(float);
  }
  if (total > kMaxUnpackedBytes) {
    return fail(Errc::kOutOfRoom, "the tensors would unpack to " + std::to_string(total) + " bytes",
                "manifest", "press a model of at most " + std::to_string(kMaxUnpackedBytes));
  }
  Checkpoint checkpoint;
  storage.clear();
  storage.reserve(pages.manifest().tensors.size());  // views below must not move
  for (const TensorEntry& tensor : pages.manifest().tensors) {
    if (is_derived(tensor.name) || tensor.name == kHeadOrder) continue;
    CheckpointTensor out{tensor.name, tensor.shape, tensor.format, {}};
    TRY(Buffer bytes, row_major(pages, tensor, out.format));
    if (tensor.name == "head.weight") TRY_VOID(put_back(pages, bytes));
    storage.push_back(std::move(bytes));
    out.data = storage.back();
    checkpoint.tensors.push_back(std::move(out));
  }
  return checkpoint;
}

Result<Buffer> vocabulary_of(PageSource& pages) {
  Buffer text;
  for (const std::uint32_t page : pages.manifest().tokenizer.pages) {
    TRY(const ByteView bytes, pages.page(PageIndex(page)));
    append(text, bytes);
  }
  text.resize(std::min<std::uint64_t>(text.size(), pages.manifest().tokenizer.bytes));
  return text;
}

}  // namespace skein
