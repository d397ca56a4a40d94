#include "coordinator/compress/internal/replaced_tensor.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein {

ReplacedTensor::ReplacedTensor(PageSource& base, TensorEntry tensor)
    : base_(base),
      manifest_(base.manifest()),
      size_(stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols)) {
  lines_ = std::make_unique<Line[]>((size_ + sizeof(Line) - 1) / sizeof(Line));
  manifest_.tokenizer = {};
  tensor.segments = {{.page = static_cast<std::uint32_t>(manifest_.pages.size()),
                      .offset = 0,
                      .first_row = 0,
                      .rows = tensor.rows}};
  // Only looked at in this process, where a page's length may be any.
  manifest_.pages.push_back({.digest = {}, .bytes = static_cast<std::uint32_t>(size_)});
  CHECK(size_ <= ~0U);
  const auto old = std::ranges::find(manifest_.tensors, tensor.name, &TensorEntry::name);
  CHECK(old != manifest_.tensors.end());
  *old = std::move(tensor);
  std::erase_if(manifest_.tensors, [](const TensorEntry& any) { return is_derived(any.name); });
}

MutableByteView ReplacedTensor::bytes() { return {lines_[0].bytes, size_}; }

Result<ByteView> ReplacedTensor::page(PageIndex index) {
  if (index.value() + 1 == manifest_.pages.size()) return bytes();
  return base_.page(index);
}

Result<void> ReplacedTensor::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
  if (index.value() + 1 < manifest_.pages.size()) return base_.read(index, offset, out);
  return copy_from_page(bytes(), index, offset, out);
}

}  // namespace skein
