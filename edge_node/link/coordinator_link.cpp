#include "edge_node/link/coordinator_link.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein {

CoordinatorLink::CoordinatorLink(Env env, LinkOptions options, HeartbeatDuty& duty)
    : env_(env),
      options_(std::move(options)),
      duty_(duty),
      changed_(env.executor),
      beats_(env.executor) {}
CoordinatorLink::~CoordinatorLink() = default;

const std::optional<DeviceIdentity>& CoordinatorLink::identity() const { return identity_; }
bool CoordinatorLink::connected() const { return peer_ != nullptr && peer_->open(); }

Task<Result<void>> CoordinatorLink::load() {
  CO_TRY(identity_, co_await load_identity(env_, options_.directory));
  co_return Result<void>{};
}

Task<void> CoordinatorLink::run() {
  Duration wait = kFirstRedial;
  while (!stopping_) {
    stood_ = false;
    const Result<void> ended = co_await connect_once();
    if (stopping_) break;
    if (stood_) wait = kFirstRedial;
    const Duration pause = env_.random.jitter(wait, kRedialJitter);
    env_.log.warn("coordinator link down",
                  {{"coordinator", to_string(options_.coordinator)},
                   {"reason", ended ? "closed by the coordinator" : to_string(ended.error())},
                   {"redial_ms", pause.count() / 1'000'000}});
    std::function<bool()> never = [] { return false; };
    co_await wait_until(env_.clock.now() + pause, std::move(never));
    wait = std::min(wait * 2, options_.redial_max);
  }
}

Task<void> CoordinatorLink::stop() {
  stopping_ = true;
  if (peer_) peer_->close();
  changed_.notify_all();
  co_await beats_.stop();
}

Task<Result<void>> CoordinatorLink::ensure_identity() {
  if (identity_) co_return Result<void>{};
  if (options_.token.empty()) {
    co_return fail(Errc::kUsage, "this device is not enrolled", options_.directory,
                   "set [coordinator] token or token_file");
  }
  CO_TRY(EnrolToken token, parse_enrol_token(options_.token));
  EnrolOptions options{options_.coordinator, std::move(token), options_.device_name,
                       options_.directory};
  CO_TRY(identity_, co_await enrol(env_, std::move(options)));
  co_return Result<void>{};
}

Task<Result<void>> CoordinatorLink::connect_once() {
  CO_TRY_VOID(co_await ensure_identity());
  auto tls = std::make_shared<TlsOptions>();
  tls->identity =
      TlsIdentity{identity_->certificate_pem + identity_->authority_pem, to_pem(identity_->key)};
  tls->authority_pem = identity_->authority_pem;
  tls->server_name = options_.server_name;
  CO_TRY(auto stream, co_await env_.network.connect(options_.coordinator, std::move(tls)));
  const auto peer = std::make_shared<Peer>(env_, std::move(stream), nullptr, options_.peer);
  const auto ended = std::make_shared<Result<void>>();
  TaskGroup running(env_.executor);
  running.spawn(run_peer(peer, ended));  // first, so that its greeting is the first frame
  peer_ = peer;
  changed_.notify_all();
  beats_.spawn(heartbeats(peer));
  co_await running.join();
  peer_.reset();
  co_await beats_.stop();
  co_return *ended;
}

Task<void> CoordinatorLink::run_peer(std::shared_ptr<Peer> peer,
                                     std::shared_ptr<Result<void>> ended) {
  *ended = co_await peer->run();
}

Task<void> CoordinatorLink::heartbeats(std::shared_ptr<Peer> peer) {
  for (;;) {
    hurry_ = false;
    const Result<Duration> interval = co_await heartbeat_once(peer);
    if (!interval) {
      env_.log.warn("heartbeat failed", {{"reason", to_string(interval.error())}});
      peer->close();
      co_return;
    }
    const Duration pause = env_.random.jitter(*interval, kHeartbeatJitter);
    std::function<bool()> hurried = [this] { return hurry_; };
    co_await wait_until(env_.clock.now() + pause, std::move(hurried));
  }
}

Task<Result<Duration>> CoordinatorLink::heartbeat_once(std::shared_ptr<Peer> peer) {
  Message request = duty_.compose();
  Buffer nothing;
  const Instant deadline = env_.clock.now() + kHeartbeatLimit;
  CO_TRY(const Envelope envelope,
         co_await peer->call(std::move(request), std::move(nothing), deadline));
  CO_TRY(const HeartbeatReply reply, expect_message<HeartbeatReply>(envelope));
  if (!stood_) {
    env_.log.info("coordinator link up", {{"coordinator", to_string(options_.coordinator)}});
  }
  stood_ = true;
  duty_.answered(reply);
  const Duration asked = std::chrono::milliseconds(reply.interval_ms);
  co_return std::clamp(asked, kMinHeartbeat, kMaxHeartbeat);
}

// Sleeps until the instant, `enough`, or stop(). The callers of changed_.notify_all() say when to
// look again.
Task<void> CoordinatorLink::wait_until(Instant until, std::function<bool()> enough) {
  while (!stopping_ && env_.clock.now() < until && !enough()) {
    auto changed = [](Signal& signal) -> Task<Result<void>> {
      co_await signal.wait();
      co_return Result<void>{};
    };
    Task<Result<void>> wait = changed(changed_);
    const Result<void> woken =
        co_await with_deadline(env_.clock, until, "waiting", std::move(wait));
    (void)woken;  // the loop's condition says what happened
  }
}

void CoordinatorLink::heartbeat_soon() {
  hurry_ = true;
  changed_.notify_all();
}

Task<bool> CoordinatorLink::wait_connected(Instant deadline) {
  std::function<bool()> stands = [this] { return connected(); };
  co_await wait_until(deadline, std::move(stands));
  co_return connected();
}

Task<Result<Envelope>> CoordinatorLink::call(Message request, Buffer payload, Instant deadline) {
  const auto peer = peer_;
  if (!connected()) co_return fail(Errc::kUnavailable, "no link to the coordinator");
  co_return co_await peer->call(std::move(request), std::move(payload), deadline);
}

Task<Result<Envelope>> CoordinatorLink::call_streaming(Message request, Peer::OnPart on_part,
                                                       Duration idle_limit) {
  const auto peer = peer_;
  if (!connected()) co_return fail(Errc::kUnavailable, "no link to the coordinator");
  co_return co_await peer->call_streaming(std::move(request), std::move(on_part), idle_limit);
}

}  // namespace skein
