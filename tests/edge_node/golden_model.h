// The golden tiny model as an artifact, and an RWKV artifact in a chunk store. Tests only.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "common/artifact/chunk_store.h"
#include "common/artifact/slots.h"
#include "common/checkpoint/checkpoint.h"
#include "common/convert/convert.h"
#include "common/env/real/real_env.h"
#include "edge_node/generate/internal/batcher.h"
#include "edge_node/generate/model_host.h"

namespace skein::test {

inline Buffer read_source_file(const std::string& path) {
  std::ifstream file(std::string(SKEIN_SOURCE_DIR) + "/" + path, std::ios::binary | std::ios::ate);
  CHECK(file.good());
  Buffer bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  CHECK(file.good());
  return bytes;
}

inline std::unique_ptr<MemoryArtifact> golden_artifact() {
  const Buffer weights = read_source_file("tests/golden/tiny-64-f32.safetensors");
  const Buffer vocabulary = read_source_file("tests/golden/tiny-vocab.txt");
  const auto checkpoint = read_checkpoint(weights, "tiny-64-f32.safetensors");
  CHECK(checkpoint.has_value());
  ConvertOptions options;
  options.name = "tiny";
  options.version = "v1";
  options.vocabulary = vocabulary;
  auto artifact = convert(*checkpoint, options);
  CHECK(artifact.has_value());
  return std::move(*artifact);
}

// The same with another initial state: a few pages differ from v1's.
inline std::unique_ptr<MemoryArtifact> tuned_artifact(PageSource& base, float value) {
  const ModelConfig& config = base.manifest().config;
  const std::size_t count = std::size_t{config.heads} * config.head_size * config.head_size;
  const std::vector<float> state(count, value);
  std::vector<CheckpointTensor> tensors;
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    tensors.push_back({.name = "blocks." + std::to_string(layer) + ".att.time_state",
                       .shape = {config.heads, config.head_size, config.head_size},
                       .format = Format::kF32,
                       .data = std::as_bytes(std::span(state))});
  }
  auto artifact = with_tensors(base, tensors, "v2", "state-tuning",
                               manifest_digest(encode_manifest(base.manifest())));
  CHECK(artifact.has_value());
  return std::move(*artifact);
}

// Where many small files can be synced at once, if there is such a place.
inline std::filesystem::path quick_folder() {
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

// A folder that goes away with the test.
class ScopedFolder {
 public:
  ScopedFolder() : ScopedFolder(std::filesystem::temp_directory_path()) {}
  explicit ScopedFolder(const std::filesystem::path& parent) {
    std::string pattern = parent / "skein-edge-XXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~ScopedFolder() { std::filesystem::remove_all(path_); }
  ScopedFolder(const ScopedFolder&) = delete;
  ScopedFolder& operator=(const ScopedFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Task<Result<Digest>> put_artifact(ChunkStore& store, PageSource& source,
                                         std::optional<SigningKey> key) {
  const Manifest& manifest = source.manifest();
  for (std::uint32_t i = 0; i < manifest.pages.size(); ++i) {
    CO_TRY(const ByteView bytes, source.page(PageIndex(i)));
    CO_TRY_VOID(co_await store.put(manifest.pages[i].digest, bytes));
  }
  SignedManifest signed_manifest = sign_manifest(manifest, key);
  const Digest digest = signed_manifest.digest();
  CO_TRY_VOID(co_await store.put_manifest(std::move(signed_manifest)));
  co_return digest;
}

// A model without a store: for the rooms that only compute.
inline std::shared_ptr<const HostedModel> host(
    Env env, std::unique_ptr<PageSource> pages,
    std::shared_ptr<PassCounters> passes = std::make_shared<PassCounters>()) {
  auto hosted = std::make_shared<HostedModel>();
  hosted->digest = manifest_digest(encode_manifest(pages->manifest()));
  hosted->name = pages->manifest().name;
  hosted->pages = std::move(pages);
  auto model = Model::open(*hosted->pages);
  CHECK(model.has_value());
  hosted->model = std::move(*model);
  hosted->batcher = std::make_shared<Batcher>(env, *hosted->model, std::move(passes));
  return hosted;
}

}  // namespace skein::test
