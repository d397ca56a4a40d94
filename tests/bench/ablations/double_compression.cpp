// Double Compression (2025): how far a column's step follows its inputs' power, exponent 0 to 1, at
// the same bits once coded.
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {

void double_compression(const Bench& bench) {
  bench.print({.title = "Double Compression: 3.2 bits a weight once coded",
               .corner = "exponent",
               .rows = {{"0", {"entropy.exponent=0"}},
                        {"0.25", {"entropy.exponent=0.25"}},
                        {"0.5", {"entropy.exponent=0.5"}},
                        {"0.75", {"entropy.exponent=0.75"}},
                        {"1", {"entropy.exponent=1"}}},
               .columns = {{"perplexity", {"entropy.bits=3.2", "sensitivity.ids=512"}}},
               .only = {}});
}

}  // namespace skein::ablations
