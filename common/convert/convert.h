// Convert: a checkpoint's tensors laid out as an artifact's pages. Lossless ("keep"), or to one
// plain format. The coordinator's compress room builds on this; the edge uses it to run a
// checkpoint directly. Pure; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/artifact/page_source.h"
#include "common/base/result.h"
#include "common/checkpoint/checkpoint.h"

namespace skein {

// kKeep: every tensor's bits survive. Tensors packed in blocks become q8 where it holds them
// exactly (README.md), else f32, which always does.
enum class Precision : unsigned char { kKeep, kF32, kBf16, kF16, kQ8, kQ6, kQ5, kQ4 };

struct ConvertOptions {
  Precision precision = Precision::kKeep;
  std::string name = {};  // Manifest::name, version
  std::string version = {};
  ByteView vocabulary = {};  // vocabulary file to embed; empty = no tokenizer
  bool hash_pages = true;    // false: page digests are left zero (a run from memory needs none)
};

// Finds architecture and shapes in the tensors (names, ranks, sizes); Errc::kUnsupported or
// kCorrupt names the tensor and what was expected. kQ8 to kQ4 quantize the matrices (embedding,
// head, r/k/v/o, LoRAs and channel-mix); vectors stay as they are.
Result<ModelConfig> find_config(const Checkpoint& checkpoint);

// The pages in memory, owned by the returned source.
class MemoryArtifact : public PageSource {
 public:
  virtual ByteView page_bytes(PageIndex index) const = 0;
};
Result<std::unique_ptr<MemoryArtifact>> convert(const Checkpoint& checkpoint,
                                                const ConvertOptions& options);

// The same for any tensors, e.g. re-publishing a manifest with tuned initial states: starts from
// `base`'s manifest and pages, adds or replaces the given f32 tensors, keeps every other page as it
// is.
Result<std::unique_ptr<MemoryArtifact>> with_tensors(PageSource& base,
                                                     std::span<const CheckpointTensor> tensors,
                                                     std::string version, std::string technique,
                                                     const Digest& parent);

}  // namespace skein
