#include <algorithm>

#include "common/pack/pack.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(pack) {
  using namespace skein;
  constexpr std::size_t kMaxFloats = 1U << 16;
  if (input.size() > fuzz::kMaxInput) return;
  const auto values = unpack_floats(input, kMaxFloats);
  if (values) CHECK(values->size() <= kMaxFloats);

  // The other way: any bytes are floats.
  std::vector<float> floats(input.size() / sizeof(float));
  const MutableByteView bytes = std::as_writable_bytes(std::span(floats));
  std::ranges::copy(input.first(bytes.size()), bytes.begin());
  const auto back = unpack_floats(pack_floats(floats), floats.size());
  CHECK(back.has_value());
  CHECK(std::ranges::equal(std::as_bytes(std::span(*back)), bytes));
}
