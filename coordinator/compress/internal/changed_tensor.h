// A checkpoint's tensors made anew from floats: they own their bytes. Pure; any thread.
#pragma once

#include <span>

#include "common/checkpoint/checkpoint.h"

namespace skein {

// What a new tensor takes over from the one it comes of: its elements' format; f32 of packed ones.
Format element_format(const CheckpointTensor& tensor);

// `values` in the order of `shape`, or with its two dimensions the other way round.
struct NewTensor {
  std::string name;
  std::vector<std::uint32_t> shape;
  Format format = Format::kF32;  // f32, bf16 or f16
  bool swapped = false;
};
CheckpointTensor made_tensor(NewTensor tensor, std::span<const float> values);

// nullptr: there is none.
const CheckpointTensor* find_tensor(const Checkpoint& checkpoint, std::string_view name);
// In its place, or at the end.
void put_tensor(Checkpoint& checkpoint, CheckpointTensor tensor);

}  // namespace skein
