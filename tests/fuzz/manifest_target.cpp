#include "common/artifact/manifest.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(manifest) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const auto manifest = decode_manifest(input);
  // One manifest, one sequence of bytes: what decodes is what would have been signed.
  if (manifest) CHECK(encode_manifest(*manifest) == to_buffer(input));
}
