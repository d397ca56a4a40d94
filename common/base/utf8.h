// UTF-8: code points to bytes and back (Unicode 15, table 3-7). Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace skein {

inline constexpr std::uint32_t kMaxCodePoint = 0x10FFFF;

// The halves of UTF-16 pairs: no characters, and never in UTF-8.
inline constexpr bool is_surrogate(std::uint32_t code) { return code >= 0xD800 && code < 0xE000; }
inline constexpr bool is_character(std::uint32_t code) {
  return code <= kMaxCodePoint && !is_surrogate(code);
}

// How the bytes at the front of a text stand as a character.
struct Utf8Character {
  std::size_t length = 0;  // bytes that belong together; of an invalid one, those to replace
  bool valid = false;
  bool unfinished = false;  // valid so far, more bytes needed
  std::uint32_t code = 0;   // of a valid one
};
Utf8Character first_character(std::string_view bytes);  // at least one byte

void append_utf8(std::string& out, std::uint32_t code);  // `code` is_character

}  // namespace skein
