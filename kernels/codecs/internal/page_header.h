// The first twelve bytes of a coded page, and the check in them. Values; any thread.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"

namespace skein {

inline constexpr std::size_t kPageHeaderBytes = 12;
inline constexpr std::size_t kCheckedFrom = 4;  // the check is of all bytes after it

enum class PageForm : std::uint8_t { kOneCode = 0, kPacked = 1, kCoded = 2 };

struct PageHeader {
  std::uint32_t check = 0;
  PageForm form = PageForm::kOneCode;
  std::uint8_t parameter = 0;  // the code; bits of a code; bits of the tables
  std::uint16_t contexts = 0;  // kCoded: bit c is set when context c has a table
  std::uint32_t count = 0;
};
static_assert(sizeof(PageHeader) == kPageHeaderBytes);

// Against accidents, not against malice. README.md defines it.
std::uint32_t check_of(ByteView bytes);

}  // namespace skein
