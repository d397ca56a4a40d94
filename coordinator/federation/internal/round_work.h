// RoundController's inside: machines, uploads and the work a closed round needs. Private to
// coordinator/federation; loop thread only.
#pragma once

#include <map>
#include <set>

#include "coordinator/federation/internal/candidate.h"
#include "coordinator/federation/round_controller.h"

namespace skein {

class RoundController::Work {
 public:
  Work(Env env, RoundStore& store, RoundControllerOptions options, RoundHands hands)
      : env_(env),
        store_(store),
        options_(std::move(options)),
        hands_(std::move(hands)),
        files_(env.disk, options_.directory) {}

  Task<Result<void>> restore();
  Task<Result<RoundId>> open_round(RoundPlan plan);
  Task<Result<void>> call_off(RoundId round, std::string reason);
  Result<std::optional<RoundOffer>> offer_for(DeviceId device, const std::optional<Digest>& active);
  Task<Result<void>> tick();
  const std::map<RoundId, RoundMachine>& rounds() const { return rounds_; }

  // uploads.cpp
  Task<Result<UploadStatus>> begin_upload(DeviceId device, UploadBegin begin);
  Task<Result<UploadStatus>> take_chunk(DeviceId device, UploadChunk chunk, Buffer payload);

 private:
  Result<RoundMachine*> find(RoundId round);
  // Steps a copy, saves it, and only then lets it be the round. Nothing is saved when nothing
  // changed that a restart must know.
  Result<RoundAction> advance(RoundId round, const RoundEvent& event);
  RoundMachine* running();  // or nullptr
  Task<Result<void>> clean_up(RoundId round);

  // What a closed round still needs, from wherever it stands to its end.
  Task<Result<void>> finish(RoundId round);
  Task<Result<internal::Candidate>> make_candidate(RoundId round);
  Task<Result<RoundAction>> evaluate(RoundId round, const internal::Candidate& candidate);
  Task<Result<void>> give_up_after(RoundId round, Error error);

  // uploads.cpp
  Task<Result<UpdateBounds>> bounds_of(const RoundRecord& record);
  Task<Result<UploadStatus>> status_of_upload(RoundId round, DeviceId device);
  Task<Result<UploadStatus>> verify(RoundId round, DeviceId device);
  Task<Result<UploadStatus>> store_chunk(DeviceId device, UploadChunk chunk, Buffer payload);
  Task<Result<UploadStatus>> begin(DeviceId device, UploadBegin begin);
  Task<Result<void>> drop_other_content(DeviceId device, UploadBegin begin);
  class Claim;

  Env env_;
  RoundStore& store_;
  RoundControllerOptions options_;
  RoundHands hands_;
  internal::UploadFiles files_;
  std::map<RoundId, RoundMachine> rounds_;
  std::map<Digest, std::size_t> base_values_;  // floats in an update, by base
  std::set<internal::UploadName> under_way_;   // uploads with a request being handled
  bool ticking_ = false;
  std::uint32_t failed_attempts_ = 0;  // at finishing the running round
};

}  // namespace skein
