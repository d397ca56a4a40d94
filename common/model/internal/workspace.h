// Workspace: every buffer that a forward pass needs, sized once. Owned by one Runner; one thread.
#pragma once

#include <vector>

#include "common/artifact/model_config.h"
#include "common/model/model.h"
#include "common/model/weights.h"
#include "kernels/ops/wkv.h"

namespace skein {

struct Workspace {
  explicit Workspace(const ModelWeights& weights);

  // (width)
  std::vector<float> normed, mixed, r, w, k, v, a, g, kk, b, y, out;
  std::vector<float> low;             // (largest LoRA rank)
  std::vector<float> h;               // (ffn_width)
  std::vector<std::uint32_t> active;  // (ffn_width, or the largest LoRA rank)
  std::vector<std::int8_t> codes;     // the input being multiplied by a quantized matrix
  std::vector<float> scales;
  std::vector<WkvHead> heads;          // RWKV-7
  std::vector<DecayHead> decay_heads;  // RWKV-5 and 6
  Activation activation;               // for Runner::step
  Runner::Counters counters;
};

}  // namespace skein
