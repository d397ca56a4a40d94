// Entropy coding of a page of codes (weights as small integers): encoded once, decoded at more than
// a gigabyte a second. Every page stands alone. The form of its bytes: README.md of this room.
// Pure: one page is the work of one thread, any thread; no allocation but CodecMemory's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace skein {

inline constexpr std::uint32_t kMaxPageCodes = 1U << 18;
inline constexpr std::uint32_t kMaxContexts = 16;

// What one call at a time works in: about a megabyte, made once and used for any number of pages.
class CodecMemory {
 public:
  CodecMemory();
  ~CodecMemory();
  CodecMemory(CodecMemory&&) noexcept;
  CodecMemory& operator=(CodecMemory&&) noexcept;

  // False: the caller knows the bytes, and decoding looks at no page's check. Damage that keeps the
  // form would come out as other codes.
  void compare_checks(bool whether) { compares_checks_ = whether; }
  bool compares_checks() const { return compares_checks_; }

  struct Parts;  // internal/codec_memory.h
  Parts& parts() { return *parts_; }

 private:
  std::unique_ptr<Parts> parts_;
  bool compares_checks_ = true;
};

// What both sides know about every code besides its value, in at most kMaxContexts contexts, each
// with statistics of its own (METHODS 2.2: the scale of a weight's column). Code i has context
// values[i % values.size()]: one value for each column of a row-major page, or one for each code.
// No values: there is one context. At most kMaxPageCodes values, all below kMaxContexts.
struct Contexts {
  std::span<const std::uint8_t> values;
};

// No page of `count` codes is larger.
constexpr std::size_t coded_page_bound(std::size_t count) { return count + 12; }

// Writes the page and returns its size. At most kMaxPageCodes codes; out holds at least
// coded_page_bound(codes.size()). The same bytes on every machine. Where coding does not pay, the
// codes are stored with as many bits as the largest needs.
std::size_t encode_page(std::span<const std::uint8_t> codes, Contexts contexts, CodecMemory& memory,
                        MutableByteView out);

// The codes again: out.size() of them, with the contexts they were encoded with. Errc::kCorrupt for
// bytes that encode_page did not make: all but one in 2^32 damaged pages are found, and so are
// nearly always contexts that differ. Then `out` holds anything.
Result<void> decode_page(ByteView page, Contexts contexts, CodecMemory& memory,
                         std::span<std::uint8_t> out);

}  // namespace skein
