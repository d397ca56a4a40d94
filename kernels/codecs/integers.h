// Integers of any size on top of coded pages, for quantizers without a largest code (ECSQ, METHODS
// 2.2): near zero a code of their own each, farther out a code for a range and the rest in plain
// bits. The form of the bytes: README.md of this room. As pure as coded_page.h.
#pragma once

#include "kernels/codecs/coded_page.h"

namespace skein {

// No page of `count` integers is larger.
constexpr std::size_t integers_bound(std::size_t count) {
  return 4 + 4 * count + coded_page_bound(count);
}

// At most kMaxPageCodes values; out holds at least integers_bound(values.size()). Returns the bytes
// written.
std::size_t encode_integers(std::span<const std::int32_t> values, Contexts contexts,
                            CodecMemory& memory, MutableByteView out);
std::size_t encode_integers(std::span<const std::int16_t> values, Contexts contexts,
                            CodecMemory& memory, MutableByteView out);

// Errc::kCorrupt as decode_page says, also for a value that the type does not hold.
Result<void> decode_integers(ByteView page, Contexts contexts, CodecMemory& memory,
                             std::span<std::int32_t> out);
Result<void> decode_integers(ByteView page, Contexts contexts, CodecMemory& memory,
                             std::span<std::int16_t> out);

}  // namespace skein
