#include "common/model/evaluate.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/model/weights.h"
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
      rows_(std::min({context, kMostRows, model.weights().most_rows})),
      logits_(std::size_t{rows_} * model.config().vocab) {
  CHECK(context >= 1);
  for (const TokenId id : ids) CHECK(id < model.config().vocab);
}

std::uint64_t Evaluation::windows_left() const {
  return (ids_.size() - at_ + context_ - 1) / context_;
}

Result<void> Evaluation::next_window() {
  CHECK(!done());
  const auto window = ids_.subspan(at_, std::min<std::size_t>(context_, ids_.size() - at_));
  state_ = start_;
  const std::size_t vocab = state_.config().vocab;
  fed_.assign(1, kEndOfText);
  fed_.insert(fed_.end(), window.begin(), window.end() - 1);
  for (std::size_t first = 0; first < window.size(); first += rows_) {
    const std::size_t count = std::min<std::size_t>(rows_, window.size() - first);
    const std::span<float> logits = std::span(logits_).first(count * vocab);
    const Feed some = {std::span(fed_).subspan(first, count), &state_, logits};
    TRY_VOID(runner_.feed(std::span(&some, 1)));
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = logits.subspan(i * vocab, vocab);
      result_.nll += negative_log_likelihood(row, window[first + i]);
      const auto best = std::ranges::max_element(row) - row.begin();
      result_.hits += static_cast<TokenId>(best) == window[first + i] ? 1 : 0;
    }
  }
  result_.tokens += window.size();
  at_ += window.size();
  return {};
}

Result<EvalResult> evaluate(const Model& model, Parallel& parallel, std::span<const TokenId> ids,
                            std::uint32_t context, const EvalProgress& progress) {
  Evaluation evaluation(model, parallel, ids, context);
  while (!evaluation.done()) {
    TRY_VOID(evaluation.next_window());
    if (progress && !progress(evaluation.result().tokens)) break;
  }
  return evaluation.result();
}

}  // namespace skein
