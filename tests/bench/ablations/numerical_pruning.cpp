// Numerical Pruning (Shen et al. 2024): its score against LoRAP's and against how often a neuron
// fires, each with and without making good by least squares.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void numerical_pruning(const Bench& bench) {
  const std::string on = "prune.compensate=on", off = "prune.compensate=off";
  bench.print({.title = "Numerical Pruning: neurons gone, nothing quantized",
               .corner = "score, values",
               .rows = {{"newton, made good", {"prune.score=newton", on}},
                        {"newton, as they are", {"prune.score=newton", off}},
                        {"lorap, made good", {"prune.score=lorap", on}},
                        {"lorap, as they are", {"prune.score=lorap", off}},
                        {"frequency, made good", {"prune.score=frequency", on}},
                        {"frequency, as they are", {"prune.score=frequency", off}}},
               .columns = {{"0.1 gone", {"prune.ratio=0.1"}}, {"0.2 gone", {"prune.ratio=0.2"}}},
               .only = {"prune"}});
}

}  // namespace skein::ablations
