// What a fuzz target does with a checkpoint that was accepted: touch every byte it points at, and
// convert it.
#pragma once

#include "common/base/check.h"
#include "common/convert/convert.h"

namespace skein::fuzz {

inline void use_checkpoint(const Checkpoint& checkpoint) {
  std::size_t total = 0;
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    std::size_t bytes = tensor.format == Format::kF32 ? 4 : 2;
    for (const std::uint32_t dimension : tensor.shape) bytes *= dimension;
    CHECK(bytes == tensor.data.size());
    const Buffer copy = to_buffer(tensor.data);
    CHECK(!copy.empty());
    total += copy.size();
  }
  if (total > 16 * kMaxInput) return;  // tensors may share a storage many times over
  for (const Precision precision : {Precision::kKeep, Precision::kQ8}) {
    const auto artifact = convert(checkpoint, {.precision = precision});
    if (artifact) CHECK(decode_manifest(encode_manifest((*artifact)->manifest())).has_value());
  }
}

}  // namespace skein::fuzz
