#include "coordinator/compress/internal/changed_tensor.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein {

Format element_format(const CheckpointTensor& tensor) {
  return tensor.packing == Packing::kNone ? tensor.format : Format::kF32;
}

CheckpointTensor made_tensor(NewTensor tensor, std::span<const float> values) {
  CHECK(tensor.shape.size() == 2 && !is_quantized(tensor.format));
  const std::uint32_t rows = tensor.swapped ? tensor.shape[1] : tensor.shape[0];
  const std::uint32_t cols = tensor.swapped ? tensor.shape[0] : tensor.shape[1];
  CHECK(values.size() == std::size_t{rows} * cols);
  auto bytes = std::make_shared<Buffer>(stored_bytes(tensor.format, Layout::kRows, rows, cols));
  encode(tensor.format, Layout::kRows, rows, cols, values, *bytes);
  CheckpointTensor made{.name = std::move(tensor.name),
                        .shape = std::move(tensor.shape),
                        .format = tensor.format,
                        .data = *bytes,
                        .swapped = tensor.swapped};
  made.relaid = std::move(bytes);
  return made;
}

const CheckpointTensor* find_tensor(const Checkpoint& checkpoint, std::string_view name) {
  const auto found = std::ranges::find(checkpoint.tensors, name, &CheckpointTensor::name);
  return found == checkpoint.tensors.end() ? nullptr : &*found;
}

void put_tensor(Checkpoint& checkpoint, CheckpointTensor tensor) {
  const auto old = std::ranges::find(checkpoint.tensors, tensor.name, &CheckpointTensor::name);
  if (old == checkpoint.tensors.end()) {
    checkpoint.tensors.push_back(std::move(tensor));
  } else {
    *old = std::move(tensor);
  }
}

}  // namespace skein
