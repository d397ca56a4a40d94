// What is done with the two matrices that have a row for each token: the embedding and the head.
// Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/ops/format.h"

namespace skein {

// ln0 folded into the embedding: its rows are stored as ln0 leaves them, and stay on disk.
struct EmbeddingPlan {
  std::optional<Format> format = {};  // of the rows; none: q8, or what a budget chooses
};

// What spares reading all of the head.
struct HeadPlan {
  enum class Method : unsigned char {
    kScreen,    // 2-bit screening, exact rescoring: greedy and top-k choices keep every bit
    kClusters,  // RWKV-Lite's hierarchical head: another distribution
  };
  Method method = Method::kScreen;
  std::optional<std::uint32_t> clusters =
      {};                                  // none: 200, or one for 16 tokens of a small vocabulary
  std::optional<std::uint32_t> rank = {};  // of the sketch; none: half the width
  Format format = Format::kQ4;             // of the sketch
  double mass = 0.95;                      // of clusters that are looked into
  std::uint32_t least = 3, most = 100;     // so many of them
  std::uint32_t epochs = 20;               // of training the clusters' head
};

// What the head costs on text that nothing was learned from. Bytes are means a token, of a token
// alone; what is beside the head counts.
struct HeadReport {
  HeadPlan::Method method = HeadPlan::Method::kScreen;
  std::uint64_t bytes = 0;     // of all that is beside the head
  std::uint32_t tokens = 0;    // measured
  double dense_bytes = 0;      // the whole head
  double bytes_greedy = 0;     // the largest logit (screen), or all logits (clusters)
  double bytes_top40 = 0;      // the largest 40; of a screen
  double agreement = 0;        // share of tokens with the dense head's largest logit
  double accuracy_before = 0;  // share of next tokens that were the largest logit, dense
  double accuracy = 0;
  double divergence = 0;  // KL of the next token's distribution from the dense one's, nats
};

std::string_view name_of(HeadPlan::Method method);  // "screen", "clusters"

}  // namespace skein
