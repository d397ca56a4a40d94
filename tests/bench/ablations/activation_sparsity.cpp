// Activation Sparsity: thresholds within a budget of cumulative tail truncation (CETT) on top of
// the zeros that are there anyway.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void activation_sparsity(const Bench& bench) {
  bench.print({.title = "Activation Sparsity: thresholds, nothing quantized",
               .corner = "CETT",
               .rows = {{"0.05", {"sparsity.cett=0.05"}},
                        {"0.1", {"sparsity.cett=0.1"}},
                        {"0.2", {"sparsity.cett=0.2"}}},
               .columns = {{"perplexity", {"sparsity.order=off", "sparsity.predictor=off"}}},
               .only = {"sparsity"}});
}

}  // namespace skein::ablations
