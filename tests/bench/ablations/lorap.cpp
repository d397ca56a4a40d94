// LoRAP (Li et al. 2024): activation-weighted SVD against the plain one, and rank by its
// allocation; here also whitened by all of the inputs' products. Its channel pruning, with the
// least important neurons kept and without.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void lorap(const Bench& bench) {
  bench.print({.title = "LoRAP: time mixing by factors, nothing quantized",
               .corner = "less of r, k, v, o",
               .rows = {{"0.1", {"lowrank.ratio=0.1"}}, {"0.3", {"lowrank.ratio=0.3"}}},
               .columns = {{"svd", {"lowrank.method=svd"}},
                           {"awsvd", {"lowrank.method=awsvd"}},
                           {"whitened", {"lowrank.method=whitened"}}},
               .only = {"lowrank"}});
  const std::string lorap = "prune.score=lorap";
  bench.print({.title = "LoRAP: neurons gone by its score",
               .corner = "least important ones kept, guard",
               .rows = {{"none, 0", {lorap, "prune.least=0", "prune.guard=0"}},
                        {"1 %, 0", {lorap, "prune.least=0.01", "prune.guard=0"}},
                        {"1 %, 0.1", {lorap, "prune.least=0.01"}}},
               .columns = {{"0.1 gone", {"prune.ratio=0.1"}}, {"0.2 gone", {"prune.ratio=0.2"}}},
               .only = {"prune"}});
}

}  // namespace skein::ablations
