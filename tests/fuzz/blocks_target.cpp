// The first byte names the packing, the next two where to begin; the rest is blocks.
#include <cstring>
#include <vector>

#include "common/base/check.h"
#include "common/checkpoint/blocks.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(blocks) {
  using namespace skein;
  if (input.size() < 3 || input.size() > fuzz::kMaxInput) return;
  const auto packing = static_cast<Packing>(1 + std::to_integer<unsigned>(input[0]) % 8);
  const std::size_t start = load_le<std::uint16_t>(input, 1);
  const ByteView blocks = input.subspan(3);
  const BlockSize size = block_size(packing);
  const std::size_t held = blocks.size() / size.bytes * size.elements;
  std::vector<float> all(held);
  unpack(packing, blocks, 0, all);
  const std::size_t first = held == 0 ? 0 : start % held;
  std::vector<float> rest(held - first);
  unpack(packing, blocks, first, rest);
  CHECK(rest.empty() ||
        std::memcmp(rest.data(), all.data() + first, rest.size() * sizeof(float)) == 0);
}
