// W ~ Q + L R: factors of what rounding missed (LQER, Zhang et al. 2024), at q4 to the nearest and
// with error feedback.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void residual(const Bench& bench) {
  std::printf("Q + L R of r, k, v, o at q4; perplexity (bytes)\n");
  std::printf("| rank | nearest | nearest, plain svd | error feedback |\n");
  for (const char* rank : {"0", "8", "16", "32"}) {
    std::printf("| %s |", rank);
    for (const char* how : {"nearest", "plain", "gptq"}) {
      const bool nearest = how[0] != 'g';
      std::vector<std::string> settings = {
          "quantize.format=q4", nearest ? "quantize.method=nearest" : "quantize.method=gptq"};
      const bool factors = rank[0] != '0';
      if (factors) settings.push_back(std::string("lowrank.compensate=") + rank);
      if (factors && how[0] == 'p') settings.push_back("lowrank.method=svd");
      const Pressed pressed = bench.press(settings, {});
      std::printf(" %+.3f %% (%.2f MB) |", pressed.growth * 100,
                  static_cast<double>(pressed.bytes) / 1e6);
      std::fflush(stdout);
    }
    std::printf("\n");
  }
}

}  // namespace skein::ablations
