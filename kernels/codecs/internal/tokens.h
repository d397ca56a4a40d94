// Tokens: unsigned 32-bit values as codes below 248 and extra bits. Values below 32 are their own
// token; above, each power of two is cut in eight ranges, and where in its range a value lies is
// told by plain bits. The tokens of a page are entropy coded, the extra bits stand before them:
// u32 bytes of extra bits, those bytes, a coded page. Pure; any thread; no allocation.
#pragma once

#include <algorithm>
#include <array>

#include "kernels/codecs/internal/codec_memory.h"
#include "kernels/codecs/internal/zigzag.h"

namespace skein {

inline constexpr std::uint32_t kOwnToken = 32;
inline constexpr std::uint32_t kSplitBits = 3;

struct Token {
  std::uint8_t code = 0;
  std::uint8_t extra_bits = 0;
};

constexpr Token token_of(std::uint32_t value) {
  if (value < kOwnToken) return {static_cast<std::uint8_t>(value), 0};
  const auto width = static_cast<std::uint32_t>(std::bit_width(value));
  const std::uint32_t extra = width - 1 - kSplitBits;
  const std::uint32_t range = (value >> extra) & ((1U << kSplitBits) - 1);
  return {static_cast<std::uint8_t>(kOwnToken + ((width - 6) << kSplitBits) + range),
          static_cast<std::uint8_t>(extra)};
}

// The least value of every token, and how many extra bits it has.
struct TokenRanges {
  std::array<std::uint32_t, kAlphabet> first = {};
  std::array<std::uint8_t, kAlphabet> extra_bits = {};
};
inline constexpr TokenRanges kTokenRanges = [] {
  TokenRanges ranges;
  for (std::uint32_t code = 0; code <= token_of(0xFFFFFFFF).code; ++code) {
    if (code < kOwnToken) {
      ranges.first[code] = code;
      continue;
    }
    const std::uint32_t extra = ((code - kOwnToken) >> kSplitBits) + 2;
    ranges.first[code] = ((1U << kSplitBits) | (code & ((1U << kSplitBits) - 1))) << extra;
    ranges.extra_bits[code] = static_cast<std::uint8_t>(extra);
  }
  return ranges;
}();

// Writes value_of(0), ..., value_of(count - 1); returns the bytes. Works in parts.codes.
template <class ValueOf>
std::size_t encode_tokens(std::size_t count, Contexts contexts, CodecMemory& memory,
                          MutableByteView out, ValueOf value_of) {
  std::uint8_t* const codes = memory.parts().codes.data();
  BitWriter extra(out.subspan(sizeof(std::uint32_t)));
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t value = value_of(i);
    const Token token = token_of(value);
    codes[i] = token.code;
    if (token.extra_bits > 0) extra.put(value, token.extra_bits);
  }
  const std::size_t extra_bytes = extra.finish();
  store_le(out, 0, static_cast<std::uint32_t>(extra_bytes));
  const std::size_t page_at = sizeof(std::uint32_t) + extra_bytes;
  return page_at + encode_page({codes, count}, contexts, memory, out.subspan(page_at));
}

inline tl::unexpected<Error> corrupt_integers(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "coded integers", "fetch the page again");
}

inline constexpr std::size_t kTokenBlock = 256;  // values are made and used by so many

// The values of up to kTokenBlock tokens.
inline void expand_tokens(std::span<const std::uint8_t> codes, BitReader& extra,
                          std::uint32_t* values) {
  const std::uint8_t most = largest(codes);
  if (most < kOwnToken) {
    for (std::size_t i = 0; i < codes.size(); ++i) values[i] = codes[i];
    return;
  }
  if (extra.is_sure_of(codes.size() * kTokenRanges.extra_bits[most])) {
    BitReader reader = extra;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::uint8_t code = codes[i];
      values[i] = kTokenRanges.first[code] + reader.take_surely(kTokenRanges.extra_bits[code]);
    }
    extra = reader;
    return;
  }
  for (std::size_t i = 0; i < codes.size(); ++i) {
    values[i] = kTokenRanges.first[codes[i]] + extra.take(kTokenRanges.extra_bits[codes[i]]);
  }
}

// Calls take(first, values, some) for the values [first, first + some) until there were `count`;
// none is above `most`. Works in parts.codes.
template <class Take>
Result<void> decode_tokens(ByteView page, Contexts contexts, CodecMemory& memory, std::size_t count,
                           std::uint32_t most, Take take) {
  if (page.size() < sizeof(std::uint32_t)) return corrupt_integers("the page is cut short");
  const auto extra_bytes = load_le<std::uint32_t>(page, 0);
  page = page.subspan(sizeof(std::uint32_t));
  if (extra_bytes > page.size()) return corrupt_integers("the extra bits are cut short");
  const std::span codes(memory.parts().codes.data(), count);
  TRY_VOID(decode_page(page.subspan(extra_bytes), contexts, memory, codes));
  if (largest(codes) > token_of(most).code) {
    return corrupt_integers("a value is too large");
  }
  BitReader extra(page.first(extra_bytes));
  std::array<std::uint32_t, kTokenBlock> values;
  for (std::size_t first = 0; first < count; first += kTokenBlock) {
    const std::size_t some = std::min(kTokenBlock, count - first);
    expand_tokens(codes.subspan(first, some), extra, values.data());
    take(first, values.data(), some);
  }
  if (extra.overran() || extra.bytes_taken() != extra_bytes || !extra.ends_in_zeros()) {
    return corrupt_integers("the extra bits do not fit the values");
  }
  return {};
}

}  // namespace skein
