#include <algorithm>

#include "common/crypto/sha256.h"
#include "common/model/state.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

// A state that was accepted is the one that was saved.
void restore(skein::ByteView bytes, const skein::ModelConfig& config) {
  const auto state = skein::RwkvState::restore(bytes, config, skein::Digest{});
  if (!state) return;
  CHECK(std::ranges::equal(state->save(skein::Digest{}), bytes));
}

}  // namespace

FUZZ_TARGET(state) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const ModelConfig v7 = {
      .layers = 2, .width = 8, .heads = 2, .head_size = 4, .ffn_width = 16, .vocab = 9};
  ModelConfig v4 = v7;
  v4.architecture = Architecture::kRwkv4;
  v4.heads = v4.head_size = 0;
  for (const ModelConfig& config : {v7, v4}) {
    restore(input, config);
    // With the right checksum, so that what stands behind it is reached too.
    if (input.size() < sizeof(Digest::bytes)) continue;
    const ByteView summed = input.first(input.size() - sizeof(Digest::bytes));
    Buffer mended(summed.begin(), summed.end());
    append(mended, sha256(summed).bytes);
    restore(mended, config);
  }
}
