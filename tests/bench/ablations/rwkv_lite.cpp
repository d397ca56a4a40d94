// RWKV-Lite (Choe et al. 2024): r, k, v by factors of rank width / 8 and / 4. The paper trains
// afterwards; here nobody does.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void rwkv_lite(const Bench& bench) {
  bench.print({.title = "RWKV-Lite: r, k, v by factors, without training",
               .corner = "rank",
               .rows = {{"width / 8", {"lowrank.factor=8"}},
                        {"width / 4", {"lowrank.factor=4"}},
                        {"width / 3", {"lowrank.factor=3"}}},
               .columns = {{"svd", {"lowrank.method=svd"}},
                           {"awsvd", {"lowrank.method=awsvd"}},
                           {"whitened", {"lowrank.method=whitened"}}},
               .only = {"lowrank"}});
}

}  // namespace skein::ablations
