// A model's stored weights as plain floats, for the code that differentiates. Private to
// edge_node/learn. Any thread.
#pragma once

#include "common/model/weights.h"
#include "kernels/gradients/dense_model.h"

namespace skein::internal {

gradients::DenseModel<float> dense_weights(const ModelWeights& weights);

}  // namespace skein::internal
