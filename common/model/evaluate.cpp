#include "common/model/evaluate.h"

#include <algorithm>

#include "common/base/check.h"
#include "kernels/ops/log.h"

namespace skein {

double negative_log_likelihood(std::span<const float> logits, TokenId target) {
  CHECK(target < logits.size());
  return log_sum_exp(logits) - static_cast<double>(logits[target]);
}

Evaluation::Evaluation(const Model& model, Parallel& parallel, std::span<const TokenId> ids,
                       std::uint32_t context)
    : runner_(model, parallel),
      ids_(ids),
      context_(context),
      start_(model.initial_state()),
      state_(start_),
      logits_(model.config().vocab) {
  CHECK(context >= 1);
  for (const TokenId id : ids) CHECK(id < model.config().vocab);
}

std::uint64_t Evaluation::windows_left() const {
  return (ids_.size() - at_ + context_ - 1) / context_;
}

void Evaluation::next_window() {
  CHECK(!done());
  const auto window = ids_.subspan(at_, std::min<std::size_t>(context_, ids_.size() - at_));
  state_ = start_;
  TokenId fed = kEndOfText;
  for (const TokenId id : window) {
    runner_.step(fed, state_, logits_);
    result_.nll += negative_log_likelihood(logits_, id);
    fed = id;
  }
  result_.tokens += window.size();
  at_ += window.size();
}

EvalResult evaluate(const Model& model, Parallel& parallel, std::span<const TokenId> ids,
                    std::uint32_t context, const EvalProgress& progress) {
  Evaluation evaluation(model, parallel, ids, context);
  while (!evaluation.done()) {
    evaluation.next_window();
    if (progress && !progress(evaluation.result().tokens)) break;
  }
  return evaluation.result();
}

}  // namespace skein
