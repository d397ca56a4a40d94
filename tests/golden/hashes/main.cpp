// golden_hashes: prints the lines of tests/golden/hashes/logits.sha256, made by the instruction
// set that SKEIN_ISA names. Exit 1 when two ways of running the same tokens differ.
#include <cstdio>
#include <cstdlib>

#include "common/base/check.h"
#include "kernels/isa/isa.h"
#include "tests/golden/hashes/golden_hashes.h"

int main() {
  using namespace skein;
  const char* const wanted = std::getenv("SKEIN_ISA");
  if (const auto isa = select_isa(wanted == nullptr ? "" : wanted); !isa) {
    std::fprintf(stderr, "golden_hashes: %s\n", to_string(isa.error()).c_str());
    return 2;
  }
  real::ThreadPool threads(3);
  for (const test::GoldenModelKind& kind : test::kGoldenModels) {
    for (const Format format : test::kGoldenFormats) {
      test::SeededModel seeded(kind.shape, format);
      const auto model = Model::open(seeded.pages());
      CHECK(model.has_value());
      const std::vector<std::string> hashes = test::golden_hashes(**model, threads);
      const std::string line = std::string(kind.name) + " " + std::string(name_of(format));
      std::printf("%s %s\n", line.c_str(), hashes[0].c_str());
      for (const std::string& hash : hashes) {
        if (hash == hashes[0]) continue;
        std::fprintf(stderr, "golden_hashes: %s: passes or threads change it\n", line.c_str());
        return 1;
      }
    }
  }
}
