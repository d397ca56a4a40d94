#include "common/artifact/page_source.h"

#include <algorithm>

namespace skein {

Result<void> copy_from_page(ByteView page, PageIndex index, std::uint64_t offset,
                            MutableByteView out) {
  if (offset > page.size() || out.size() > page.size() - offset) {
    return fail(Errc::kCorrupt, "a page ends before what is read from it",
                "page " + std::to_string(index.value()), "fetch the artifact again");
  }
  std::ranges::copy(page.subspan(offset, out.size()), out.begin());
  return {};
}

Result<void> PageSource::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
  TRY(const ByteView bytes, page(index));
  return copy_from_page(bytes, index, offset, out);
}

}  // namespace skein
