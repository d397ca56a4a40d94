// SplitServer: runs layers [k, end) of a session for a device that runs the others. Owned by the
// app; loop thread only (the arithmetic runs on env.compute).
//
// The state is recurrent, so a step runs exactly once: the next step is computed on a copy of the
// state and committed with its reply; the last step again gets the stored reply; anything else is
// Errc::kOutOfStep. A step given up half way (link lost, deadline) leaves the session where it was.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/env/env.h"
#include "common/wire/peer.h"
#include "coordinator/split/session_table.h"

namespace skein {

inline constexpr std::size_t kMaxSplitModels = 4;  // different artifacts held at once

struct SplitServerOptions {
  Duration idle_limit = std::chrono::minutes(10);
};

class SplitServer {
 public:
  // An artifact of the registry, kept alive while used.
  using OpenArtifact = std::function<Task<Result<std::shared_ptr<PageSource>>>(Digest artifact)>;
  SplitServer(Env env, SplitServerOptions options, OpenArtifact open_artifact);
  SplitServer(const SplitServer&) = delete;
  SplitServer& operator=(const SplitServer&) = delete;

  // `device` comes from the certificate. A session it knows goes on where it was; the same id over
  // another artifact or range is Errc::kConflict.
  Task<Result<SplitOpened>> open(DeviceId device, SplitOpen request);
  // Errc::kNotFound (expired or never opened), kOutOfStep, kCorrupt.
  Task<Result<Envelope>> step(DeviceId device, SplitStep request, Buffer payload);
  void close(DeviceId device, SessionId session);  // safe to repeat
  void forget(DeviceId device);                    // revoked
  void expire();                                   // now and then

  struct SessionFacts {
    SessionId session{};
    DeviceId device{};
    Digest artifact;
    std::uint32_t first_layer = 0, end_layer = 0;
    Step next{};
    Duration idle{};
  };
  std::vector<SessionFacts> sessions() const;
  struct Counters {
    std::uint64_t steps = 0, repeats = 0, tokens = 0, out_of_step = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  Task<Result<std::shared_ptr<const SplitModel>>> model_of(Digest artifact);
  Task<Result<std::shared_ptr<const SplitModel>>> load(Digest artifact);
  Result<void> make_room_for_model();
  Result<SplitOpened> resume(ServedSession& session, const SplitOpen& request);
  Result<void> check(const ServedSession& session, const SplitStep& request,
                     const Buffer& payload) const;
  Task<Result<Envelope>> run_next(std::shared_ptr<ServedSession> session, SplitStep request,
                                  Buffer payload, Digest payload_hash);
  Duration cost_of(const ServedSession& session, std::uint32_t count) const;

  Env env_;
  OpenArtifact open_artifact_;
  SessionTable table_;
  std::vector<std::shared_ptr<const SplitModel>> models_;  // least recently opened first
  bool loading_ = false;
  Signal changed_;  // a step or a load has ended
  Counters counters_;
};

}  // namespace skein
