// LoRAP (Li et al. 2024): activation-weighted SVD against the plain one, and rank by its
// allocation; here also whitened by all of the inputs' products.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void lorap(const Bench& bench) {
  std::printf("LoRAP: time mixing by factors, nothing quantized; perplexity (bytes)\n");
  std::printf("| less of r, k, v, o | svd | awsvd | whitened |\n");
  for (const char* ratio : {"0.1", "0.2", "0.3"}) {
    std::printf("| %s |", ratio);
    for (const char* method : {"svd", "awsvd", "whitened"}) {
      const Pressed pressed = bench.press(
          {std::string("lowrank.method=") + method, std::string("lowrank.ratio=") + ratio},
          {"lowrank"});
      std::printf(" %+.2f %% (%.2f MB) |", pressed.growth * 100,
                  static_cast<double>(pressed.bytes) / 1e6);
      std::fflush(stdout);
    }
    std::printf("\n");
  }
}

}  // namespace skein::ablations
