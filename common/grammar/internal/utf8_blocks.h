// Characters as sequences of byte ranges. Pure; private to the room.
#pragma once

#include <array>
#include <vector>

#include "common/grammar/internal/expression.h"

namespace skein::grammar {

// The characters whose first byte is in bytes[0], second in bytes[1], ...: `length` of them.
struct Utf8Block {
  std::size_t length = 0;
  struct {
    unsigned char first, last;
  } bytes[4] = {};
};

// The blocks that hold exactly the characters of `range`, in ascending order.
std::vector<Utf8Block> utf8_blocks(CodeRange range);

}  // namespace skein::grammar
