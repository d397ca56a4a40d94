// A small artifact in memory: a valid manifest with its pages, different for every seed. For tests
// of whatever carries artifacts; its numbers mean nothing as a model.
#pragma once

#include <random>

#include "common/artifact/page_source.h"
#include "common/crypto/sha256.h"

namespace skein::test {

class SampleArtifact final : public PageSource {
 public:
  SampleArtifact(Manifest manifest, std::vector<Buffer> pages)
      : manifest_(std::move(manifest)), pages_(std::move(pages)) {}
  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override { return ByteView(pages_.at(index.value())); }
  std::vector<Buffer>& pages() { return pages_; }

 private:
  Manifest manifest_;
  std::vector<Buffer> pages_;
};

inline Buffer random_bytes(std::mt19937_64& random, std::size_t size) {
  Buffer bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

// Appends a page and gives its index.
inline std::uint32_t add_page(Manifest& manifest, std::vector<Buffer>& pages, Buffer bytes) {
  manifest.pages.push_back({sha256(bytes), static_cast<std::uint32_t>(bytes.size())});
  pages.push_back(std::move(bytes));
  return static_cast<std::uint32_t>(pages.size() - 1);
}

// Two layers of width 64; each tensor 1 to 3 segments, each in a page of its own.
inline SampleArtifact sample_artifact(std::uint64_t seed, std::uint32_t tensors = 4) {
  std::mt19937_64 random(seed);
  Manifest manifest;
  manifest.name = "sample";
  manifest.version = "v" + std::to_string(seed);
  manifest.config = {Architecture::kRwkv7, 2, 64, 1, 64, 256, 512};
  manifest.techniques = {"q8"};
  std::vector<Buffer> pages;
  for (std::uint32_t t = 0; t < tensors; ++t) {
    TensorEntry tensor{.name = "blocks.0.tensor_" + std::to_string(t), .shape = {}, .segments = {}};
    tensor.format = static_cast<Format>(1 + random() % 4);
    tensor.layout = static_cast<Layout>(1 + random() % 2);
    tensor.cols = 32 * static_cast<std::uint32_t>(1 + random() % 3);
    const auto parts = static_cast<std::uint32_t>(1 + random() % 3);
    for (std::uint32_t part = 0; part < parts; ++part) {
      const std::uint32_t rows =
          part + 1 < parts ? 16 : static_cast<std::uint32_t>(1 + random() % 16);
      const std::uint32_t offset = 64 * static_cast<std::uint32_t>(random() % 2);
      const std::uint64_t bytes = stored_bytes(tensor.format, tensor.layout, rows, tensor.cols);
      const std::uint32_t page = add_page(manifest, pages, random_bytes(random, offset + bytes));
      tensor.segments.push_back({page, offset, tensor.rows, rows});
      tensor.rows += rows;
    }
    tensor.shape = {tensor.rows, tensor.cols};
    tensor.transposed = random() % 2 == 0;
    if (tensor.transposed) tensor.shape = {tensor.cols, tensor.rows};
    manifest.tensors.push_back(std::move(tensor));
  }
  const Buffer vocabulary = random_bytes(random, 1 + random() % 900);
  manifest.tokenizer = {"rwkv-world", vocabulary.size(), {add_page(manifest, pages, vocabulary)}};
  return {std::move(manifest), std::move(pages)};
}

// The next version: same pages but for the first, and a page more.
inline SampleArtifact changed_artifact(const SampleArtifact& base, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  SampleArtifact next = base;
  Manifest manifest = base.manifest();
  manifest.parent = sha256(encode_manifest(manifest));
  manifest.version += "+" + std::to_string(seed);
  next.pages()[0] = random_bytes(random, next.pages()[0].size());
  manifest.pages[0].digest = sha256(next.pages()[0]);
  return {std::move(manifest), next.pages()};
}

}  // namespace skein::test
