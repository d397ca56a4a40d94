// Canary: the first tokens of a model that is not active yet. Pure; called on Compute.
#pragma once

#include <memory>

#include "common/artifact/page_source.h"
#include "common/model/tokenizer.h"
#include "kernels/ops/parallel.h"

namespace skein {

inline constexpr int kCanaryTokens = 8;

// Opens the model (which reads and hashes every page) and runs a few tokens: Errc::kCorrupt when a
// page is damaged, another error when the model does not open, kFalse when a logit is not finite.
// `vocabulary`: as Model::open has it.
Result<void> try_model(PageSource& pages, Parallel& parallel,
                       std::shared_ptr<const Tokenizer> vocabulary = nullptr);

}  // namespace skein
