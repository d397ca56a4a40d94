// A random model with a vocabulary and with hashes, as an artifact to publish or install. Tests
// only.
#pragma once

#include "common/crypto/sha256.h"
#include "tests/edge_node/golden_model.h"
#include "tests/support/memory_pages.h"

namespace skein::test {

class SpokenPages final : public PageSource {
 public:
  // shape.vocab >= 274.
  SpokenPages(const ModelConfig& shape, std::uint64_t seed)
      : pages_(random_model(Format::kQ8, shape, seed)) {
    pages_.add_vocabulary(as_text(read_source_file("tests/golden/tiny-vocab.txt")));
    manifest_ = pages_.manifest();
    manifest_.name = "spoken";
    manifest_.version = std::to_string(seed);
    for (std::uint32_t i = 0; i < manifest_.pages.size(); ++i) {
      manifest_.pages[i].digest = sha256(*pages_.page(PageIndex(i)));
    }
  }
  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override { return pages_.page(index); }
  Digest digest() const { return manifest_digest(encode_manifest(manifest_)); }

 private:
  MemoryPages pages_;
  Manifest manifest_;
};

}  // namespace skein::test
