#include "edge_node/generate/session.h"

#include "common/base/check.h"
#include "edge_node/generate/internal/batcher.h"

namespace skein {

Task<Result<void>> Session::read(std::vector<TokenId> /*ids*/) {
  co_return fail(Errc::kUnsupported, "a " + std::string(kind()) + " session keeps no state");
}

LocalSession::LocalSession(std::shared_ptr<const HostedModel> model, TokenPicker picker)
    : LocalSession(model, std::move(picker), model->model->initial_state()) {}

LocalSession::LocalSession(std::shared_ptr<const HostedModel> model, TokenPicker picker,
                           RwkvState from)
    : hosted_(std::move(model)),
      sequence_(std::make_shared<Sequence>(std::move(from), std::move(picker))) {
  CHECK(sequence_->state.config() == hosted_->model->config());
}

LocalSession::~LocalSession() { hosted_->batcher->leave(*sequence_); }

Task<Result<TokenId>> LocalSession::next(std::vector<TokenId> ids) {
  sequence_->picker.fed(ids);
  return replay(std::move(ids));
}

Task<Result<TokenId>> LocalSession::replay(std::vector<TokenId> ids) {
  return feed(std::move(ids), true);
}

Task<Result<void>> LocalSession::read(std::vector<TokenId> ids) {
  CO_TRY_VOID(co_await feed(std::move(ids), false));
  co_return Result<void>{};
}

Task<Result<TokenId>> LocalSession::feed(std::vector<TokenId> ids, bool picks) {
  CHECK(!ids.empty());
  const std::uint32_t vocab = hosted_->model->config().vocab;
  for (const TokenId id : ids) {
    if (id >= vocab) {
      co_return fail(Errc::kUsage, "token " + std::to_string(id) + " is not in the vocabulary");
    }
  }
  sequence_->ids = std::move(ids);
  sequence_->picks = picks;
  co_return co_await hosted_->batcher->next(sequence_, hosted_);
}

void LocalSession::mark() { marked_ = sequence_->state; }

void LocalSession::rewind() { sequence_->state = marked_; }

bool LocalSession::is_complete() const { return sequence_->picker.is_complete(); }

const RwkvState& LocalSession::state() const { return sequence_->state; }

}  // namespace skein
