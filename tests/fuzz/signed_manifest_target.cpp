#include "common/artifact/manifest.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(signed_manifest) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const auto decoded = decode_signed_manifest(input);
  if (!decoded) return;
  CHECK(encode_signed_manifest(*decoded) == to_buffer(input));
  CHECK(!verify_signature(*decoded, PublicKey{}));
}
