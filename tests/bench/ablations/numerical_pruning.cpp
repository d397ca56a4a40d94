// Numerical Pruning (Shen et al. 2024): its score against LoRAP's and against how often a neuron
// fires, each with and without making good by least squares.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void numerical_pruning(const Bench& bench) {
  std::printf(
      "Numerical Pruning: neurons gone, nothing quantized; perplexity, values made good / "
      "as they are\n");
  std::printf("| neurons gone | newton | lorap | frequency |\n");
  for (const char* ratio : {"0.05", "0.1", "0.2"}) {
    std::printf("| %s |", ratio);
    for (const char* score : {"newton", "lorap", "frequency"}) {
      for (const char* compensate : {"on", "off"}) {
        const Pressed pressed =
            bench.press({std::string("prune.score=") + score, std::string("prune.ratio=") + ratio,
                         std::string("prune.compensate=") + compensate},
                        {"prune"});
        std::printf(" %+.2f %%%s", pressed.growth * 100, compensate[1] == 'n' ? " /" : " |");
        std::fflush(stdout);
      }
    }
    std::printf("\n");
  }
}

}  // namespace skein::ablations
