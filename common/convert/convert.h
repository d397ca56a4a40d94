// Convert: a checkpoint's tensors laid out as an artifact's pages. Lossless ("keep"), or to one
// plain format. The coordinator's compress room builds on this; the edge uses it to run a
// checkpoint directly. Pure; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/artifact/page_source.h"
#include "common/base/result.h"
#include "common/checkpoint/checkpoint.h"

namespace skein {

// kKeep: every tensor's bits survive. Tensors packed in blocks become q8 where it holds them
// exactly (README.md), else f32, which always does.
enum class Precision : unsigned char { kKeep, kF32, kBf16, kF16, kQ8, kQ6, kQ5, kQ4 };

// Says how each matrix is stored where one precision for all will not do. Asked about those that a
// quantizing precision would quantize, in the order in which a token uses them.
class MatrixEncoder {
 public:
  virtual ~MatrixEncoder() = default;
  virtual Format format_of(std::string_view tensor) = 0;
  // Where that is a quantized one. `values` are the stored matrix (tensor.rows, tensor.cols)
  // row-major; out.size() == stored_bytes(...) of the tensor's format and layout. The tensor has no
  // segments yet.
  virtual Result<void> encode(const TensorEntry& tensor, std::span<const float> values,
                              MutableByteView out) = 0;
  // Tensors that come of encoding the others, asked for after all of them: factors of what rounding
  // missed. Plain; matrices become q8 where a quantizing precision would quantize them.
  virtual std::span<const CheckpointTensor> made() { return {}; }
};

struct ConvertOptions {
  Precision precision = Precision::kKeep;
  MatrixEncoder* encoder = nullptr;  // instead of precision, for those matrices
  std::string name = {};             // Manifest::name, version
  std::string version = {};
  ByteView vocabulary = {};  // vocabulary file to embed; empty = no tokenizer
  bool hash_pages = true;    // false: page digests are left zero (a run from memory needs none)
  std::string grid_id = {};  // Manifest::grid_id, techniques; empty: those of the precision
  std::vector<std::string> techniques = {};
};

// Finds architecture and shapes in the tensors (names, ranks, sizes); Errc::kUnsupported or
// kCorrupt names the tensor and what was expected. kQ8 to kQ4 quantize the matrices (embedding,
// head, r/k/v/o, LoRAs and channel-mix); vectors stay as they are.
Result<ModelConfig> find_config(const Checkpoint& checkpoint);

// Whether a quantizing precision quantizes this tensor.
bool can_be_quantized(std::string_view tensor, std::span<const std::uint32_t> shape);
// How kKeep would store the tensor (no segments), and its values in that order, row-major. Errors
// as convert's.
Result<TensorEntry> stored_form(const CheckpointTensor& tensor);
Result<std::vector<float>> stored_values(const CheckpointTensor& tensor);

// The pages in memory, owned by the returned source.
class MemoryArtifact : public PageSource {
 public:
  virtual ByteView page_bytes(PageIndex index) const = 0;
  // One more of Manifest::techniques, unless it is there; one of the same first word is replaced.
  virtual void note(std::string technique) = 0;
  virtual void set_name(std::string name) = 0;  // Manifest::name
};
Result<std::unique_ptr<MemoryArtifact>> convert(const Checkpoint& checkpoint,
                                                const ConvertOptions& options);

// The same for any tensors, e.g. re-publishing a manifest with tuned initial states: starts from
// `base`'s manifest and pages, adds or replaces the given tensors (derived ones too), keeps every
// other page as it is. parent: nullopt = base's. `encoder`: as
// in ConvertOptions, for the new ones.
Result<std::unique_ptr<MemoryArtifact>> with_tensors(PageSource& base,
                                                     std::span<const CheckpointTensor> tensors,
                                                     std::string version, std::string technique,
                                                     const std::optional<Digest>& parent,
                                                     MatrixEncoder* encoder = nullptr);

}  // namespace skein
