// What a fuzz target does with a checkpoint that was accepted: touch every byte it points at, and
// convert it.
#pragma once

#include "common/base/check.h"
#include "common/convert/convert.h"

namespace skein::fuzz {

inline void use_checkpoint(const Checkpoint& checkpoint) {
  std::size_t total = 0;
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    CHECK(fits_its_shape(tensor));
    std::size_t elements = 1;
    for (const std::uint32_t dimension : tensor.shape) elements *= dimension;
    total += elements;
    if (total > 4 * kMaxInput) return;  // tensors may share a storage many times over
    std::vector<float> values(elements);
    read_elements(tensor, 0, values);
    CHECK(!to_buffer(tensor.data).empty());
  }
  if (!checkpoint.vocabulary.empty()) CHECK(checkpoint.vocabulary.ends_with("\n"));
  for (const Precision precision : {Precision::kKeep, Precision::kQ8}) {
    const auto artifact = convert(checkpoint, {.precision = precision});
    if (artifact) CHECK(decode_manifest(encode_manifest((*artifact)->manifest())).has_value());
  }
}

}  // namespace skein::fuzz
