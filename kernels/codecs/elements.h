// Lossless coding of tensors as files hold them: floats in byte planes (the exponent is what
// compresses; ZipNN, arXiv 2411.05239), or as integer differences from the same tensor of another
// version. Every bit pattern comes back: NaN payloads, -0.0, denormals. The form of the bytes:
// README.md of this room. As pure as coded_page.h.
#pragma once

#include "kernels/codecs/coded_page.h"

namespace skein {

enum class Element : std::uint8_t { kI8 = 0, kBf16 = 1, kF16 = 2, kF32 = 3 };
constexpr std::size_t bytes_of(Element element) {
  return element == Element::kI8 ? 1 : element == Element::kF32 ? 4 : 2;
}

inline constexpr std::size_t kMaxElementBytes = kMaxPageCodes;  // of one page, before coding

// No page of `bytes` is larger.
constexpr std::size_t elements_bound(std::size_t bytes) { return 1 + bytes; }
// Room that encode_elements needs to work in.
constexpr std::size_t elements_room(std::size_t bytes) { return 128 + 4 * bytes; }

// Codes `raw`, whole elements at any alignment, at most kMaxElementBytes. `base`: empty, or as many
// bytes of the same elements that the decoder will have too. Returns the bytes written, at most
// elements_bound(raw.size()); out holds at least elements_room(raw.size()).
std::size_t encode_elements(Element element, ByteView raw, ByteView base, CodecMemory& memory,
                            MutableByteView out);

// Fills `raw` again. Errc::kCorrupt as decode_page says; another base than the encoder's is not
// always noticed.
Result<void> decode_elements(Element element, ByteView page, ByteView base, CodecMemory& memory,
                             MutableByteView raw);

}  // namespace skein
