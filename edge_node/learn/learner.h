// Learner: a device's part in a federated round: train the initial state on the device's own text,
// filter, pack, upload. Owned by the edge node; loop thread only (training itself runs on
// env.compute, one window per job, so that a cancelled round stops between windows).
//
// Safe to repeat at every heartbeat: a round is trained once, its packed update is kept on disk
// before the first byte is sent, and a restart resumes the same upload where the coordinator says.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/env/env.h"
#include "common/model/model.h"
#include "common/wire/peer.h"

namespace skein {

struct LearnerOptions {
  std::string directory;          // packed updates by round live here
  std::string text_path;          // this device's own text; "" = it has none
  bool consent = false;           // the owner's word; without it no text is read, nothing is sent
  double max_update_norm = 1000;  // Euclidean, over all layers; longer updates are scaled down
  std::size_t chunk_bytes = kMaxPayloadBytes / 4;  // of an upload; at most kMaxPayloadBytes
};

// The model that is loaded now, and the artifact it came from. `model` keeps its pages alive.
struct LoadedModel {
  Digest artifact;
  std::shared_ptr<const Model> model;
};

// One request to the coordinator and its reply, with the caller's own deadline inside. An
// ErrorReply is this Result's error. May be called again after a failure (the link may be new).
using CoordinatorCall = std::function<Task<Result<Envelope>>(Message request, Buffer payload)>;

struct LearnReport {
  RoundId round{};
  std::uint64_t tokens = 0;  // predicted in one pass over the text: the FedAvg weight
  double loss_before = 0;    // nats per token on the device's own text
  double loss_after = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t packed_bytes = 0;
  bool counted = false;  // the coordinator has it, verified; false: the round went on without it
};

class Learner {
 public:
  Learner(Env env, LearnerOptions options);
  ~Learner();
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // From offer to counted upload. Errc::kRefused without consent, kConflict when another artifact
  // is loaded or another round is being worked on, kNotFound without text; kUnavailable, kDeadline
  // and other errors of `call` mean: call again later, nothing is lost.
  Task<Result<LearnReport>> take_part(RoundOffer offer, LoadedModel model, CoordinatorCall call);

  // What take_part takes beside the model, at most, in bytes.
  Task<Result<std::uint64_t>> memory(RoundOffer offer, const Manifest& manifest);

  enum class Phase : unsigned char { kIdle, kTraining, kUploading };
  struct Status {
    Phase phase = Phase::kIdle;
    RoundId round{};
    std::uint64_t windows_done = 0, windows_total = 0;
    std::uint64_t bytes_sent = 0, bytes_total = 0;
    std::uint64_t rounds_counted = 0;  // since this process began
  };
  const Status& status() const;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace skein
