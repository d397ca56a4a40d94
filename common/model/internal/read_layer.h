// The tensors of one layer, under the names that each version gives them. Lives while a Model
// opens; one thread.
#pragma once

#include "common/model/internal/tensor_reader.h"

namespace skein {

Result<Norm> read_norm(TensorReader& tensors, const std::string& name, std::size_t width);
Result<LayerWeights> read_layer(TensorReader& tensors, std::uint32_t index,
                                const ModelConfig& config);

}  // namespace skein
