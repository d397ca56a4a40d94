// RWKV-Lite (Choe et al. 2024): r, k, v by factors of rank width / 8 and / 4. The paper trains
// afterwards; here nobody does.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void rwkv_lite(const Bench& bench) {
  std::printf("RWKV-Lite: r, k, v by factors, without training; perplexity (bytes)\n");
  std::printf("| rank | svd | awsvd | whitened |\n");
  for (const char* factor : {"8", "4", "3"}) {
    std::printf("| width / %s |", factor);
    for (const char* method : {"svd", "awsvd", "whitened"}) {
      const Pressed pressed = bench.press(
          {std::string("lowrank.method=") + method, std::string("lowrank.factor=") + factor},
          {"lowrank"});
      std::printf(" %+.2f %% (%.2f MB) |", pressed.growth * 100,
                  static_cast<double>(pressed.bytes) / 1e6);
      std::fflush(stdout);
    }
    std::printf("\n");
  }
}

}  // namespace skein::ablations
