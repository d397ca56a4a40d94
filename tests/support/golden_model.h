// The repository's own tiny model (tests/golden), as an artifact in memory and as a model. Tests
// only.
#pragma once

#include <fstream>
#include <string>

#include "common/base/check.h"
#include "common/convert/convert.h"
#include "common/model/model.h"

namespace skein::test {

inline Buffer golden_file(const std::string& name) {
  std::ifstream file(std::string(SKEIN_SOURCE_DIR) + "/tests/golden/" + name,
                     std::ios::binary | std::ios::ate);
  CHECK(file.good());
  Buffer bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  CHECK(file.good());
  return bytes;
}

// With the tiny vocabulary embedded.
inline std::unique_ptr<MemoryArtifact> golden_artifact(
    const std::string& name = "tiny-64-f32.safetensors") {
  const Buffer file = golden_file(name);
  const Buffer vocabulary = golden_file("tiny-vocab.txt");
  const auto checkpoint = read_checkpoint(file, name);
  CHECK(checkpoint.has_value());
  auto artifact = convert(*checkpoint, {.name = "tiny", .version = "v1", .vocabulary = vocabulary});
  CHECK(artifact.has_value());
  return std::move(*artifact);
}

struct GoldenModel {
  std::unique_ptr<MemoryArtifact> artifact = golden_artifact();
  Digest digest = manifest_digest(encode_manifest(artifact->manifest()));
  std::shared_ptr<const Model> model = std::move(*Model::open(*artifact));
};

}  // namespace skein::test
