// AWQ (Lin et al. 2024): channels scaled by how large they are, exponent 0 to 1, with rounding to
// the nearest and with error feedback, which weighs them anyway.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void channel_scales(const Bench& bench) {
  const std::string q4 = "quantize.format=q4";
  bench.print({.title = "AWQ: q4, channels scaled by their rms to a power",
               .corner = "exponent",
               .rows = {{"0", {}}, {"0.5", {"quantize.scales=0.5"}}, {"1", {"quantize.scales=1"}}},
               .columns = {{"nearest", {q4, "quantize.method=nearest"}},
                           {"error feedback", {q4, "quantize.method=gptq"}}},
               .only = {}});
}

}  // namespace skein::ablations
