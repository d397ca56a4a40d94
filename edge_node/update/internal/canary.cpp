#include "edge_node/update/internal/canary.h"

#include <algorithm>
#include <cmath>

#include "common/model/model.h"

namespace skein {

Result<void> try_model(PageSource& pages, Parallel& parallel,
                       std::shared_ptr<const Tokenizer> vocabulary) {
  TRY(const auto model, Model::open(pages, std::move(vocabulary)));
  const std::uint32_t vocab = model->config().vocab;
  Runner runner(*model, parallel);
  RwkvState state = model->initial_state();
  std::vector<float> logits(vocab);
  TokenId token = 0;
  for (int i = 0; i < kCanaryTokens; ++i) {
    TRY_VOID(runner.step(token, state, logits));
    if (!std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); })) {
      return fail(Errc::kFalse, "logits are not finite", "token " + std::to_string(i));
    }
    token = static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
  }
  return {};
}

}  // namespace skein
