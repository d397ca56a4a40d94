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
  std::memcpy(floats.data(), input.data(), floats.size() * sizeof(float));
  const auto back = unpack_floats(pack_floats(floats), floats.size());
  CHECK(back.has_value() && back->size() == floats.size());
  CHECK(floats.empty() || std::memcmp(back->data(), floats.data(), 4 * floats.size()) == 0);
}
