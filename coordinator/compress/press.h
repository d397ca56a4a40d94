// Press: any model, squeezed into a new artifact's pages. One technique so far: plain rounding to
// 8, 6, 5 or 4 bits in groups of 32 (kernels/ops/format.h). Pure but for the time it takes; any
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/convert/convert.h"

namespace skein {

// What a technique cost one tensor.
struct TensorReport {
  std::string name;
  Format format = Format::kF32;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  double relative_error = 0;  // ||W' - W|| / ||W||, Frobenius
};

struct PressResult {
  std::unique_ptr<MemoryArtifact> artifact;
  std::vector<TensorReport> tensors;
};

// A manifest may let tensors share pages: what they would unpack to is bounded by itself.
inline constexpr std::uint64_t kMaxUnpackedBytes = 1ULL << 36;

// An artifact's tensors as a checkpoint again: row-major elements under their official names.
// `storage` owns the bytes that the checkpoint's views point into. Quantized tensors become f32.
Result<Checkpoint> tensors_of(PageSource& pages, std::vector<Buffer>& storage);
// The vocabulary file's bytes that the artifact embeds; empty when it has none.
Result<Buffer> vocabulary_of(PageSource& pages);

Result<PressResult> press(const Checkpoint& checkpoint, const ConvertOptions& options);

}  // namespace skein
