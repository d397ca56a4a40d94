// RoundController: the hands of the RoundMachine: offers rounds to devices, takes their uploads,
// combines them, evaluates, publishes. Owned by the coordinator's app; loop thread only (long
// arithmetic runs on env.compute).
//
// Every transition is in the store before it is acted on; uploads are files, one per round and
// device. After a restart restore() picks every round up where it was.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/convert/convert.h"
#include "common/env/env.h"
#include "coordinator/federation/round_store.h"

namespace skein {

inline constexpr std::uint32_t kMaxKeptRounds = 256;  // shown by rounds(); older ones stay stored

struct RoundControllerOptions {
  std::string directory;            // uploads: <directory>/<round>/<device>.update
  std::string held_out_path;        // text no device has; what "better" is measured on
  std::uint32_t eval_context = 64;  // tokens per evaluation window
};

// What the app supplies. Both may be called again for the same thing after a restart.
struct RoundHands {
  // An artifact of the registry by its manifest digest; kept alive while used.
  std::function<Task<Result<std::shared_ptr<PageSource>>>(Digest artifact)> open_artifact;
  // Signs and registers the artifact and starts its rollout. The same artifact twice is one.
  std::function<Task<Result<void>>(RoundId round, std::shared_ptr<MemoryArtifact> artifact)>
      publish;
};

// For the admin API, /metrics and the demo.
struct RoundStatus {
  RoundRecord record;
  std::uint32_t counted = 0;
  std::uint64_t raw_bytes = 0;  // of the counted updates
  std::uint64_t packed_bytes = 0;
  std::uint64_t tokens = 0;
  double device_loss_before = 0;  // token-weighted means of what the devices reported
  double device_loss_after = 0;
};

class RoundController {
 public:
  RoundController(Env env, RoundStore& store, RoundControllerOptions options, RoundHands hands);
  ~RoundController();
  RoundController(const RoundController&) = delete;
  RoundController& operator=(const RoundController&) = delete;

  // Once, before anything else.
  Task<Result<void>> restore();
  // Errc::kUsage for a bad plan, kConflict while another round runs.
  Task<Result<RoundId>> open_round(RoundPlan plan);
  // Ends a running round as failed with this reason. kNotFound, kConflict (ended already).
  Task<Result<void>> call_off(RoundId round, std::string reason);

  // At each heartbeat: what to put into HeartbeatReply::round. nullopt: nothing to do for this one.
  Result<std::optional<RoundOffer>> offer_for(DeviceId device, const std::optional<Digest>& active);
  // The device's requests; `device` comes from its certificate.
  Task<Result<UploadStatus>> begin_upload(DeviceId device, UploadBegin begin);
  Task<Result<UploadStatus>> take_chunk(DeviceId device, UploadChunk chunk, Buffer payload);
  // Every second or so: deadlines, then aggregation, evaluation and publishing where due. Returns
  // when the due work is done; a second call meanwhile returns at once.
  Task<Result<void>> tick();

  std::vector<RoundStatus> rounds() const;  // oldest first
  std::optional<RoundStatus> round(RoundId id) const;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace skein
