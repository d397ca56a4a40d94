// A range of characters is cut until each piece has one length, and every byte after the first
// that differs between the piece's ends runs through all its values (0x80 to 0xBF): then the bytes
// are independent of each other.
#include "common/grammar/internal/utf8_blocks.h"

namespace skein::grammar {
namespace {

constexpr std::uint32_t kLastOfLength[] = {0x7F, 0x7FF, 0xFFFF, kMaxCodePoint};

void add_blocks(CodeRange range, std::vector<Utf8Block>& blocks) {
  for (const std::uint32_t last : kLastOfLength) {
    if (range.first <= last && range.last > last) {
      add_blocks({range.first, last}, blocks);
      return add_blocks({last + 1, range.last}, blocks);
    }
  }
  std::string first;
  std::string last;
  append_utf8(first, range.first);
  append_utf8(last, range.last);
  for (std::size_t tail = 1; tail < first.size(); ++tail) {
    const std::uint32_t below = (1U << (6 * tail)) - 1;  // the bits of the last `tail` bytes
    if ((range.first & ~below) == (range.last & ~below)) continue;
    if ((range.first & below) != 0) {
      add_blocks({range.first, range.first | below}, blocks);
      return add_blocks({(range.first | below) + 1, range.last}, blocks);
    }
    if ((range.last & below) != below) {
      add_blocks({range.first, (range.last & ~below) - 1}, blocks);
      return add_blocks({range.last & ~below, range.last}, blocks);
    }
  }
  Utf8Block block{.length = first.size()};
  for (std::size_t i = 0; i < first.size(); ++i) {
    block.bytes[i] = {static_cast<unsigned char>(first[i]), static_cast<unsigned char>(last[i])};
  }
  blocks.push_back(block);
}

}  // namespace

std::vector<Utf8Block> utf8_blocks(CodeRange range) {
  std::vector<Utf8Block> blocks;
  add_blocks(range, blocks);
  return blocks;
}

}  // namespace skein::grammar
