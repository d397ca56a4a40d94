#include "coordinator/federation/round_controller.h"

#include "coordinator/federation/internal/round_work.h"

namespace skein {

RoundController::RoundController(Env env, RoundStore& store, RoundControllerOptions options,
                                 RoundHands hands)
    : work_(std::make_unique<Work>(env, store, std::move(options), std::move(hands))) {}

RoundController::~RoundController() = default;

Task<Result<void>> RoundController::restore() { return work_->restore(); }

Task<Result<RoundId>> RoundController::open_round(RoundPlan plan) {
  return work_->open_round(std::move(plan));
}

Task<Result<void>> RoundController::call_off(RoundId round, std::string reason) {
  return work_->call_off(round, std::move(reason));
}

Result<std::optional<RoundOffer>> RoundController::offer_for(DeviceId device,
                                                             const std::optional<Digest>& active) {
  return work_->offer_for(device, active);
}

Task<Result<UploadStatus>> RoundController::begin_upload(DeviceId device, UploadBegin begin) {
  return work_->begin_upload(device, std::move(begin));
}

Task<Result<UploadStatus>> RoundController::take_chunk(DeviceId device, UploadChunk chunk,
                                                       Buffer payload) {
  return work_->take_chunk(device, std::move(chunk), std::move(payload));
}

Task<Result<void>> RoundController::tick() { return work_->tick(); }

namespace {

RoundStatus status_of(const RoundRecord& record) {
  RoundStatus status;
  status.record = record;
  for (const Participant& participant : record.participants) {
    if (!participant.counted) continue;
    const UploadBegin& upload = *participant.upload;
    const auto weight = static_cast<double>(upload.tokens);
    ++status.counted;
    status.raw_bytes += upload.raw_bytes;
    status.packed_bytes += upload.bytes;
    status.tokens += upload.tokens;
    status.device_loss_before += weight * upload.loss_before;
    status.device_loss_after += weight * upload.loss_after;
  }
  if (status.tokens > 0) {
    status.device_loss_before /= static_cast<double>(status.tokens);
    status.device_loss_after /= static_cast<double>(status.tokens);
  }
  return status;
}

}  // namespace

std::vector<RoundStatus> RoundController::rounds() const {
  std::vector<RoundStatus> all;
  for (const auto& [round, machine] : work_->rounds()) all.push_back(status_of(machine.record()));
  return all;
}

std::optional<RoundStatus> RoundController::round(RoundId id) const {
  const auto found = work_->rounds().find(id);
  if (found == work_->rounds().end()) return std::nullopt;
  return status_of(found->second.record());
}

}  // namespace skein
