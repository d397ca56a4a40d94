// ClusterHead: the head that says how likely each cluster of tokens is (RWKV-Lite's L1 head),
// trained to say what the model's own head does: the sum of its tokens' probabilities. Pure; the
// same for the same input.
#pragma once

#include <vector>

#include "coordinator/compress/internal/layer_activity.h"

namespace skein {

struct ClusterHead {
  RowMatrix weight;         // (clusters, width)
  Eigen::RowVectorXf bias;  // (clusters)
};

// Softmax regression by Adam from `start`, over inputs (tokens, width) with probabilities targets
// (tokens, clusters).
ClusterHead train_cluster_head(const RowMatrix& inputs, const RowMatrix& targets, ClusterHead start,
                               std::uint32_t epochs);

// Mean KL divergence of its answers from the targets, nats.
double divergence_of(const ClusterHead& head, const RowMatrix& inputs, const RowMatrix& targets);

}  // namespace skein
