#include "common/artifact/page_source.h"

#include <algorithm>
#include <tuple>

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

std::vector<std::vector<PageSegment>> parts_of_pages(const Manifest& manifest) {
  static_assert(kMaxPageBytes <= kMaxCodablePage);
  std::vector<std::vector<PageSegment>> pages(manifest.pages.size());
  for (const TensorEntry& tensor : manifest.tensors) {
    for (const Segment& segment : tensor.segments) {
      pages[segment.page].push_back(
          {segment.offset, tensor.format, tensor.layout, segment.rows, tensor.cols});
    }
  }
  const auto order = [](const PageSegment& part) {
    return std::tuple(part.offset, part.format, part.layout, part.rows, part.cols);
  };
  for (auto& parts : pages) std::ranges::sort(parts, {}, order);
  return pages;
}

}  // namespace skein
