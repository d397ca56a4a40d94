// CodedSize: how many bytes pages and matrices take once they are entropy coded, found by coding
// them as files, the wire and memory have them. One thread.
#pragma once

#include "common/artifact/page_source.h"

namespace skein {

// A quantized matrix's share, from its stored bytes, cut as convert cuts them into pages.
std::uint64_t coded_bytes(const TensorEntry& tensor, ByteView stored);

// All pages that hold tensors, coded.
Result<std::uint64_t> coded_bytes(PageSource& pages);

}  // namespace skein
