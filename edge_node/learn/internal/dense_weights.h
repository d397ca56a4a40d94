// A model's stored weights as plain floats, for the code that differentiates. Private to
// edge_node/learn. Any thread.
#pragma once

#include "common/model/weights.h"
#include "kernels/gradients/dense_model.h"

namespace skein::internal {

// Errors are those of pages that cannot be read.
Result<gradients::DenseModel<float>> dense_weights(const ModelWeights& weights);

}  // namespace skein::internal
