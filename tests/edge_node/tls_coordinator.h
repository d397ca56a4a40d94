// TlsCoordinator: FakeCoordinator behind a real socket: TLS 1.3, enrolment, heartbeats. Tests only.
#pragma once

#include "common/crypto/certificate.h"
#include "tests/edge_node/fake_coordinator.h"

namespace skein::test {

inline const SigningKey kAuthorityKey{.seed = {std::byte{9}}};
inline const SigningKey kArtifactKey{.seed = {std::byte{1}}};

class TlsCoordinator final : public RequestHandler {
 public:
  explicit TlsCoordinator(Env env) : behind(env), env_(env), tasks_(env.executor) {
    const WallTime now = env_.clock.wall_now();
    validity_ = {now - std::chrono::hours(1), now + std::chrono::hours(24)};
    authority_ = make_authority(kAuthorityKey, "test authority", 1, validity_).value();
  }

  void listen(std::uint16_t port = 0) {
    const SigningKey key{.seed = {std::byte{3}}};
    const CertificateRequest request{.common_name = "coordinator",
                                     .public_key = key.public_key(),
                                     .hosts = {"127.0.0.1"},
                                     .use = CertificateUse::kServer,
                                     .serial = 2,
                                     .validity = validity_};
    auto tls = std::make_shared<TlsOptions>();
    tls->identity = TlsIdentity{
        issue_certificate(kAuthorityKey, authority_, request).value() + authority_, to_pem(key)};
    tls->authority_pem = authority_;
    tls->peer_certificate_optional = true;
    listener_ = env_.network.listen({"127.0.0.1", port}, tls).value();
    tasks_.spawn(accept());
  }
  // As a restart or a cut cable: every link dies; with `listening` new ones may come.
  void cut() {
    for (const auto& peer : peers_) peer->close();
    peers_.clear();
  }
  void stop_listening() { listener_->close(); }
  Task<void> stop() {
    cut();
    if (listener_) listener_->close();
    co_await tasks_.stop();
  }

  Endpoint endpoint() const { return listener_->local(); }
  std::string token() const {
    return "secret." + certificate_fingerprint(authority_).value().hex();
  }

  // ---- knobs ----
  FakeCoordinator behind;
  std::optional<UpdateOffer> offer;
  std::optional<RoundOffer> round;
  bool records_reports = true;
  std::uint32_t interval_ms = 50;
  bool loses_enrol_reply = false;  // once

  // ---- what happened ----
  std::vector<std::pair<std::string, PublicKey>> enrolled;  // (name, key) per request
  std::vector<Heartbeat> heartbeats;
  std::vector<StepReport> reports;  // of every heartbeat, in order
  std::string last_device;          // from its certificate
  std::optional<UploadBegin> upload;
  Buffer uploaded;

  Task<Result<Envelope>> handle(const PeerIdentity& from, Envelope request,
                                PartSink& parts) override {
    if (const auto* enrol = std::get_if<EnrolRequest>(&request.message))
      co_return enrolling(*enrol);
    if (from.name.empty()) co_return fail(Errc::kRefused, "not enrolled");
    last_device = from.name;
    if (const auto* beat = std::get_if<Heartbeat>(&request.message)) co_return beaten(*beat);
    if (const auto* begin = std::get_if<UploadBegin>(&request.message)) {
      upload = *begin;
      co_return Envelope{UploadStatus{uploaded.size(), uploaded.size() == begin->bytes}, {}};
    }
    if (const auto* chunk = std::get_if<UploadChunk>(&request.message)) {
      if (chunk->offset == uploaded.size()) append(uploaded, request.payload);
      co_return Envelope{UploadStatus{uploaded.size(), uploaded.size() == upload->bytes}, {}};
    }
    const bool streams = std::holds_alternative<FetchManifest>(request.message) ||
                         std::holds_alternative<FetchPages>(request.message);
    behind.link_up = true;
    if (!streams) {
      co_return lost(
          co_await behind.call(std::move(request.message), std::move(request.payload), {}));
    }
    Peer::OnPart on_part = [&parts](Message part, Buffer payload) -> Task<Result<void>> {
      co_return co_await parts.send(std::move(part), payload);
    };
    co_return lost(
        co_await behind.call_streaming(std::move(request.message), std::move(on_part), {}));
  }

 private:
  // A cut link behind is a cut link here.
  Result<Envelope> lost(Result<Envelope> reply) {
    if (!behind.link_up) cut();
    return reply;
  }

  Result<Envelope> enrolling(const EnrolRequest& request) {
    TRY(const SigningRequest asked, parse_signing_request(request.signing_request_pem));
    if (request.token != token()) return fail(Errc::kRefused, "unknown token");
    enrolled.emplace_back(request.device_name, asked.public_key);
    if (loses_enrol_reply) {
      loses_enrol_reply = false;
      cut();
    }
    const CertificateRequest device{.common_name = "device-7",
                                    .public_key = asked.public_key,
                                    .hosts = {},
                                    .use = CertificateUse::kDevice,
                                    .serial = 7,
                                    .validity = validity_};
    TRY(std::string certificate, issue_certificate(kAuthorityKey, authority_, device));
    return Envelope{
        EnrolReply{DeviceId(7), std::move(certificate), authority_, kArtifactKey.public_key()}, {}};
  }

  Result<Envelope> beaten(const Heartbeat& beat) {
    heartbeats.push_back(beat);
    HeartbeatReply reply;
    reply.interval_ms = interval_ms;
    reply.offer = offer;
    reply.round = round;
    for (const StepReport& report : beat.steps) {
      reports.push_back(report);
      if (records_reports) reply.recorded.emplace_back(report.rollout, report.step);
      const bool final_step =
          report.step == DeviceStep::kCommitted || report.step == DeviceStep::kFailed;
      if (offer && report.rollout == offer->rollout && final_step) reply.offer.reset();
      if (records_reports && !reply.offer) offer.reset();
    }
    return Envelope{std::move(reply), {}};
  }

  Task<void> accept() {
    for (;;) {
      auto stream = co_await listener_->accept();
      if (!stream) co_return;
      peers_.push_back(std::make_shared<Peer>(env_, std::move(*stream), this, PeerOptions{}));
      tasks_.spawn(serve(peers_.back()));
    }
  }
  static Task<void> serve(std::shared_ptr<Peer> peer) {
    const Result<void> ended = co_await peer->run();
    (void)ended;
  }

  Env env_;
  TaskGroup tasks_;
  Validity validity_;
  std::string authority_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::shared_ptr<Peer>> peers_;
};

}  // namespace skein::test
