// W ~ Q + L R: factors of what rounding missed (LQER, Zhang et al. 2024), at q4 to the nearest and
// with error feedback.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void residual(const Bench& bench) {
  const std::string q4 = "quantize.format=q4";
  const std::string nearest = "quantize.method=nearest";
  bench.print(
      {.title = "Q + L R of r, k, v, o at q4",
       .corner = "rank",
       .rows = {{"none", {}}, {"8", {"lowrank.compensate=8"}}, {"32", {"lowrank.compensate=32"}}},
       .columns = {{"nearest, whitened", {q4, nearest}},
                   {"error feedback, whitened", {q4, "quantize.method=gptq"}}},
       .only = {}});
}

}  // namespace skein::ablations
