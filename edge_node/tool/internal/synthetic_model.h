// SyntheticModel: an RWKV-7 model of an official shape with random weights, made straight in its
// stored format, so that no more than the artifact is ever in memory. For benchmarks: it answers
// nonsense, but touches what a real model of that shape touches, and as many of its neurons stay
// silent as are asked to. Immutable once made; owned by its command.
#pragma once

#include <memory>
#include <string_view>

#include "common/artifact/page_source.h"
#include "kernels/ops/parallel.h"

namespace skein::tool {

struct SyntheticOptions {
  std::string_view size = "0.1B";  // "0.1B", "0.4B", "1.5B", "2.9B"
  Format format = Format::kQ8;
  double silent = 0.87;  // share of exact zeros behind the squared ReLU, 0 to 0.99
};

// Errc::kUsage names the sizes there are.
Result<std::unique_ptr<PageSource>> make_synthetic(const SyntheticOptions& options,
                                                   Parallel& parallel);

}  // namespace skein::tool
