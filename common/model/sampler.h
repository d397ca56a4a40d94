// Sampler: logits to a token. Owns its random stream and its scratch; one per session.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/ids.h"

namespace skein {

struct SamplerOptions {
  float temperature = 1.0F;  // 0 = greedy: the lowest id among the largest logits
  float top_p = 1.0F;        // keep the smallest set of tokens whose probability reaches it
  std::uint32_t top_k = 0;   // 0 = all
  std::uint64_t seed = 0;    // same seed, same logits, same tokens
};

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);
  TokenId pick(std::span<const float> logits);

 private:
  SamplerOptions options_;
  std::uint64_t random_state_;
  std::vector<std::pair<float, TokenId>> scratch_;
};

}  // namespace skein
