#include "edge_node/split/internal/split_session.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace skein {

SplitSession::SplitSession(SplitClient& client, std::shared_ptr<const HostedModel> model,
                           TokenPicker picker, std::uint32_t first_layer)
    : client_(client),
      env_(client.env_),
      hosted_(std::move(model)),
      layers_(hosted_->model->config().layers),
      width_(hosted_->model->config().width),
      first_layer_(first_layer),
      id_(env_.random.next()),
      runner_(*hosted_->model, env_.compute.parallel()),
      state_(hosted_->model->initial_state()),
      picker_(std::move(picker)),
      logits_(hosted_->model->config().vocab) {
  activation_.x.resize(width_);
  activation_.v_first.resize(width_);
}

SplitSession::~SplitSession() {
  if (told_) client_.close_later(id_);
}

Task<Result<TokenId>> SplitSession::next(std::vector<TokenId> ids) {
  CHECK(!ids.empty());
  if (alone_) co_return co_await alone_->next(std::move(ids));
  const std::uint32_t vocab = hosted_->model->config().vocab;
  for (const TokenId id : ids) {
    if (id >= vocab) {
      co_return fail(Errc::kUsage, "token " + std::to_string(id) + " is not in the vocabulary");
    }
  }
  picker_.fed(ids);
  for (std::size_t first = 0; first < ids.size();) {
    const std::size_t count = std::min(batch_limit(), ids.size() - first);
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
    std::vector<TokenId> batch(begin, begin + static_cast<std::ptrdiff_t>(count));
    first += count;
    fed_.insert(fed_.end(), batch.begin(), batch.end());
    CO_TRY_VOID(co_await feed_remote(std::move(batch)));
    if (!machine_.local()) continue;
    std::vector<TokenId> rest(begin + static_cast<std::ptrdiff_t>(count), ids.end());
    co_return co_await go_on_alone(std::move(rest));
  }
  co_return co_await pick();
}

std::size_t SplitSession::batch_limit() const {
  const std::size_t fitting = kMaxPayloadBytes / (2 * sizeof(float) * width_);
  return std::clamp<std::size_t>(fitting, 1, std::min(kSplitPrefill, kMaxSplitTokens));
}

Task<Result<void>> SplitSession::feed_remote(std::vector<TokenId> ids) {
  const auto count = static_cast<std::uint32_t>(ids.size());
  CO_TRY_VOID(co_await run_lower(std::move(ids)));
  co_return co_await settle(count);
}

// Embedding and layers 0...k-1 of each token; what the upper layers need goes into the payload.
Task<Result<void>> SplitSession::run_lower(std::vector<TokenId> ids) {
  payload_.resize(ids.size() * 2 * width_ * sizeof(float));
  Result<void> outcome;
  std::function<void()> job = [&] {
    const std::size_t half = width_ * sizeof(float);
    std::byte* out = payload_.data();
    const auto stay = hosted_->enter();
    if (!stay) outcome = tl::unexpected<Error>(stay.error());
    if (!outcome) return;
    outcome = runner_.embed(ids, activation_);
    if (!outcome) return;
    outcome = runner_.layers(LayerIndex(0), LayerIndex(first_layer_), activation_, state_);
    if (!outcome) return;
    for (std::size_t first = 0; first < activation_.x.size(); first += width_) {
      std::memcpy(out, &activation_.x[first], half);
      std::memcpy(out + half, &activation_.v_first[first], half);
      out += 2 * half;
    }
  };
  co_await env_.compute.run(std::move(job), forward_cost(hosted_->model->config(), ids.size()));
  co_return outcome;
}

// Until the batch has been answered, or the machine has turned local.
Task<Result<void>> SplitSession::settle(std::uint32_t count) {
  SplitAction action = machine_.step(SplitEvent::Fed{count});
  while (action != SplitAction::kUseReply) {
    AnySplitEvent event;
    switch (action) {
      case SplitAction::kOpen:
        event = co_await open();
        break;
      case SplitAction::kSend:
        event = co_await send(count);
        break;
      case SplitAction::kWaitLink:
        event = co_await wait_link();
        break;
      default:  // kGoLocal
        co_return Result<void>{};
    }
    action = machine_.step(event);
  }
  co_return Result<void>{};
}

Task<AnySplitEvent> SplitSession::open() {
  told_ = true;
  Message request = SplitOpen{id_, hosted_->digest, first_layer_, layers_};
  Buffer nothing;
  const Instant deadline = env_.clock.now() + kSplitStepLimit;
  const auto reply =
      co_await client_.uplink_.call(std::move(request), std::move(nothing), deadline);
  if (!reply) co_return SplitEvent::CallFailed{reply.error().code};
  const auto opened = expect_message<SplitOpened>(*reply);
  if (!opened) co_return SplitEvent::CallFailed{opened.error().code};
  co_return SplitEvent::Opened{opened->next};
}

Task<AnySplitEvent> SplitSession::send(std::uint32_t count) {
  Message request = SplitStep{id_, machine_.base(), count};
  Buffer payload = payload_;  // kept: the step may have to be repeated
  const Instant deadline = env_.clock.now() + kSplitStepLimit;
  client_.counters_.steps += 1;
  const auto reply =
      co_await client_.uplink_.call(std::move(request), std::move(payload), deadline);
  if (!reply) co_return SplitEvent::CallFailed{reply.error().code};
  const Result<void> taken = take_reply(*reply, count);
  if (!taken) {
    env_.log.warn("split reply refused", {{"reason", to_string(taken.error())}});
    co_return SplitEvent::CallFailed{taken.error().code};
  }
  co_return SplitEvent::Answered{};
}

Result<void> SplitSession::take_reply(const Envelope& reply, std::uint32_t count) {
  TRY(const SplitResult result, expect_message<SplitResult>(reply));
  const std::size_t row = width_ * sizeof(float);
  const bool ours =
      result.session == id_ && result.step == machine_.base() && result.count == count;
  if (!ours || reply.payload.size() != count * row) {
    return fail(Errc::kCorrupt, "the reply is for another step", "split session");
  }
  activation_.x.resize(width_);
  std::memcpy(activation_.x.data(), reply.payload.data() + (count - 1) * row, row);
  if (!std::ranges::all_of(activation_.x, [](float x) { return std::isfinite(x); })) {
    return fail(Errc::kCorrupt, "the reply is not finite", "split session");
  }
  return {};
}

Task<AnySplitEvent> SplitSession::wait_link() {
  client_.counters_.repeats += 1;
  const Instant deadline = env_.clock.now() + kSplitReconnectLimit;
  const bool back = co_await client_.uplink_.wait_connected(deadline);
  if (back) co_return SplitEvent::LinkBack{};
  co_return SplitEvent::LinkGone{};
}

// The state of every layer, from the beginning, out of the ids alone; then the id after `rest`.
Task<Result<TokenId>> SplitSession::go_on_alone(std::vector<TokenId> rest) {
  client_.counters_.fallbacks += 1;
  client_.counters_.replayed_tokens += fed_.size();
  env_.log.warn("split session goes on alone", {{"session", id_.value()}, {"tokens", fed_.size()}});
  state_ = RwkvState();
  payload_ = Buffer();
  fed_.insert(fed_.end(), rest.begin(), rest.end());
  alone_ = std::make_unique<LocalSession>(hosted_, std::move(picker_));
  co_return co_await alone_->replay(std::move(fed_));
}

Task<Result<TokenId>> SplitSession::pick() {
  Result<TokenId> picked = kEndOfText;
  std::function<void()> job = [&] {
    const auto stay = hosted_->enter();
    if (!stay) picked = tl::unexpected<Error>(stay.error());
    if (!picked) return;
    const auto rows = static_cast<std::uint32_t>(activation_.x.size() / width_);
    const Result<void> read = runner_.head(activation_, rows - 1, 1, logits_);
    picked = read ? picker_.pick(logits_) : tl::unexpected<Error>(read.error());
  };
  co_await env_.compute.run(std::move(job), forward_cost(hosted_->model->config(), 1) / 4);
  co_return picked;
}

}  // namespace skein
