// What changes a model's structure before it is quantized: neurons removed from its channel mixes,
// matrices of its time mixing told as two thin ones. Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace skein {

// Channel-mix neurons that are removed for good.
struct PrunePlan {
  enum class Score : unsigned char {
    kLorap,      // norms weighed with what comes in (Li et al. 2024): the least of each layer go
    kNewton,     // the closed form of Numerical Pruning (Shen et al. 2024), over all layers
    kFrequency,  // the seldom firing, over all layers
  };
  Score score = Score::kNewton;
  double ratio = 0.05;     // share of all neurons
  bool compensate = true;  // the value matrix makes good what it can, by least squares
  // Of each layer's neurons, those of the least scores stay: what seldom speaks may be vital
  // (LoRAP). None: 0.01 by LoRAP's score, else 0.
  std::optional<double> least = {};
  double guard = 0.1;  // of each layer's neurons, those of the largest single contributions stay
};

// W -> L R, or W -> Q + L R.
struct LowRankPlan {
  enum class Method : unsigned char {
    kSvd,       // nearest in the Frobenius norm
    kAwsvd,     // weighed with each input's mean square (LoRAP)
    kWhitened,  // nearest in what comes out over the text
  };
  Method method = Method::kWhitened;
  std::string targets = {};  // of "rkvgo"; empty: the default ones
  std::uint32_t factor = 4;  // rank = width / factor; RWKV-Lite's 8 needs training afterwards
  std::optional<double> ratio = {};              // instead: LoRAP's share of r, k, v, o that goes
  std::optional<std::uint32_t> compensate = {};  // instead: rank of what quantizing missed

  // Of a matrix (width, width) of that letter; 0: it stays as it is.
  std::uint32_t rank_of(char target, std::uint32_t width) const;
};

}  // namespace skein
