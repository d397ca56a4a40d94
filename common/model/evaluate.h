// Evaluation: how well a model predicts a text. Consecutive windows of `context` ids, each from the
// model's initial state with id 0 fed first; every id is predicted. The same bits whatever the
// threads or the instruction set: log-softmax is summed in double precision in id order, with our
// own exp and log (kernels/ops/log.h). Any one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "common/model/model.h"

namespace skein {

struct EvalResult {
  std::uint64_t tokens = 0;  // predicted
  double nll = 0;            // sum of -log p, nats
  std::uint64_t hits = 0;    // of them, the largest logit, or the lowest id of equally large ones
};

// -log softmax(logits)[target], in nats. target < logits.size().
double negative_log_likelihood(std::span<const float> logits, TokenId target);

// One window at a time: for callers who run each as a job of its own, or may stop in between.
class Evaluation {
 public:
  // model, parallel and ids outlive it. ids are below vocab; context >= 1.
  Evaluation(const Model& model, Parallel& parallel, std::span<const TokenId> ids,
             std::uint32_t context);
  bool done() const { return at_ == ids_.size(); }
  Result<void> next_window();  // not when done; errors are Runner::feed's
  std::uint64_t windows_left() const;
  const EvalResult& result() const { return result_; }  // of the windows so far

 private:
  Runner runner_;
  std::span<const TokenId> ids_;
  std::uint32_t context_;
  std::size_t at_ = 0;
  RwkvState start_;
  RwkvState state_;
  std::vector<TokenId> fed_;
  std::uint32_t rows_;         // of a pass
  std::vector<float> logits_;  // of so many tokens of the window, in turn
  EvalResult result_;
};

// All windows. `progress` (optional) hears the tokens done after each window; false stops there:
// the result then covers what was done.
using EvalProgress = std::function<bool(std::uint64_t tokens_done)>;
Result<EvalResult> evaluate(const Model& model, Parallel& parallel, std::span<const TokenId> ids,
                            std::uint32_t context, const EvalProgress& progress = {});

}  // namespace skein
