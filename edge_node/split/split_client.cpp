#include "edge_node/split/split_client.h"

#include "common/base/check.h"
#include "edge_node/split/internal/split_session.h"

namespace skein {

namespace {
constexpr Duration kCloseLimit = std::chrono::seconds(5);
constexpr std::size_t kMaxClosing = 64;  // beyond, the coordinator's own expiry has to do
}  // namespace

SplitClient::SplitClient(Env env, Uplink& uplink)
    : env_(env), uplink_(uplink), closing_(env.executor) {}

Task<void> SplitClient::stop() { co_await closing_.stop(); }

bool SplitClient::can_split(const ModelConfig& config, std::uint32_t first_layer) {
  return first_layer > 0 && first_layer < config.layers;
}

std::unique_ptr<Session> SplitClient::open(std::shared_ptr<const HostedModel> model,
                                           TokenPicker picker, std::uint32_t first_layer) {
  CHECK(can_split(model->model->config(), first_layer));
  counters_.sessions += 1;
  return std::make_unique<SplitSession>(*this, std::move(model), std::move(picker), first_layer);
}

void SplitClient::close_later(SessionId session) {
  if (uplink_.connected() && closing_.running() < kMaxClosing) closing_.spawn(close(session));
}

Task<void> SplitClient::close(SessionId session) {
  Message request = SplitClose{session};
  Buffer nothing;
  const Instant deadline = env_.clock.now() + kCloseLimit;
  const auto closed = co_await uplink_.call(std::move(request), std::move(nothing), deadline);
  if (!closed) {
    env_.log.debug("split session not closed", {{"reason", to_string(closed.error())}});
  }
}

}  // namespace skein
