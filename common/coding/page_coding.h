// PageCoder: an artifact's pages in fewer bytes, and back bit for bit, each page alone. A coded
// page says itself what its parts are, so that decoding needs nothing else. A page stays named by
// the hash of its decoded bytes: whoever decodes hashes, and every damage is found. The form of the
// bytes: README.md of this room.
// No I/O. One coder, one thread at a time; it keeps about three megabytes to work in.
#pragma once

#include <memory>
#include <span>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "kernels/ops/format.h"

namespace skein {

inline constexpr std::size_t kMaxCodablePage = 256 * 1024;

// Whole stored rows of a tensor inside a page (kernels/ops/format.h).
struct PageSegment {
  std::uint32_t offset = 0;
  Format format = Format::kF32;
  Layout layout = Layout::kRows;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::uint64_t bytes() const { return stored_bytes(format, layout, rows, cols); }
  friend bool operator==(const PageSegment&, const PageSegment&) = default;
};

// No coded page of `bytes` is larger.
constexpr std::size_t coded_bound(std::size_t bytes) { return bytes + 1; }

// A coded page of coded_bound(bytes) is the page as it is, from this byte on: no shorter form was
// found, or none was looked for, so that parts of it can be read.
inline constexpr std::size_t kStoredAt = 1;
constexpr bool is_stored_page(std::size_t coded, std::size_t bytes) {
  return coded == coded_bound(bytes);
}
Buffer stored_page(ByteView page);

class PageCoder {
 public:
  PageCoder();
  ~PageCoder();
  PageCoder(PageCoder&&) noexcept;
  PageCoder& operator=(PageCoder&&) noexcept;

  // page: at most kMaxCodablePage. parts: what it holds, by offset; what they leave out, and parts
  // that overlap or do not fit, are plain bytes. The same bytes for any thread and CPU.
  Buffer code(ByteView page, std::span<const PageSegment> parts);

  // Fills `page`. Errc::kCorrupt for bytes that are no coded page of that size; damage that keeps
  // the form may come out as another page: compare the hash.
  Result<void> decode(ByteView coded, MutableByteView page);
  // The same for bytes that the caller knows to be those that were decoded and compared before:
  // looks at no check inside of them, a tenth of the time.
  Result<void> decode_again(ByteView coded, MutableByteView page);

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace skein
