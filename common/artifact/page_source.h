// PageSource: where a model takes its pages from: an artifact file, a slot's chunk store, or
// memory. The caller owns it and keeps it alive for as long as any view it gave. One thread at a
// time.
#pragma once

#include "common/artifact/manifest.h"
#include "common/coding/page_coding.h"

namespace skein {

class PageSource {
 public:
  virtual ~PageSource() = default;
  virtual const Manifest& manifest() const = 0;
  // The page's bytes, verified against its hash (or made in this process), 64-byte aligned, valid
  // as long as the source lives. A damaged page is Errc::kCorrupt naming the page, never returned.
  virtual Result<ByteView> page(PageIndex index) = 0;
  // Copies bytes [offset, offset + out.size()) of a page, verified likewise, and where it can keeps
  // none of it in memory. Errc::kCorrupt when the page ends before.
  virtual Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out);
};

// What read() does with a page's verified bytes.
Result<void> copy_from_page(ByteView page, PageIndex index, std::uint64_t offset,
                            MutableByteView out);

// What each page holds, by offset: what PageCoder::code is told.
std::vector<std::vector<PageSegment>> parts_of_pages(const Manifest& manifest);

}  // namespace skein
