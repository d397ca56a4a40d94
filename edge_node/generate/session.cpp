#include "edge_node/generate/session.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein {

LocalSession::LocalSession(Env env, std::shared_ptr<const HostedModel> model, TokenPicker picker)
    : env_(env),
      hosted_(std::move(model)),
      runner_(*hosted_->model, env_.compute.parallel()),
      state_(hosted_->model->initial_state()),
      picker_(std::move(picker)),
      logits_(hosted_->model->config().vocab) {}

Task<Result<TokenId>> LocalSession::next(std::vector<TokenId> ids) {
  CHECK(!ids.empty());
  const std::uint32_t vocab = hosted_->model->config().vocab;
  for (const TokenId id : ids) {
    if (id >= vocab) {
      co_return fail(Errc::kUsage, "token " + std::to_string(id) + " is not in the vocabulary");
    }
  }
  picker_.fed(ids);
  Result<TokenId> picked = kEndOfText;
  for (std::size_t first = 0; first < ids.size(); first += kPrefillTokens) {
    const std::size_t count = std::min(kPrefillTokens, ids.size() - first);
    const bool last = first + count == ids.size();
    std::function<void()> job = [&, first, count, last] {
      const std::span<float> logits = last ? std::span(logits_) : std::span<float>();
      const Feed feed = {std::span(ids).subspan(first, count), &state_, logits};
      const Result<void> fed = runner_.feed(std::span(&feed, 1));
      if (!fed) picked = tl::unexpected(fed.error());
      if (fed && last) picked = picker_.pick(logits_);
    };
    co_await env_.compute.run(std::move(job), forward_cost(hosted_->model->config(), count));
    if (!picked) break;
  }
  co_return picked;
}

}  // namespace skein
