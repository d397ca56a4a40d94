// How an update arrives: begun, chunk by chunk, verified when the last byte is there, counted once.
#include "common/crypto/sha256.h"
#include "coordinator/federation/internal/round_work.h"

namespace skein {
namespace {

std::string place(RoundId round, DeviceId device) {
  return "round " + std::to_string(round.value()) + ", device " + std::to_string(device.value());
}

// What a lossless packing of `raw` bytes may need at worst.
std::uint64_t most_packed(std::uint64_t raw) { return raw + raw / 16 + 4096; }

}  // namespace

// One request of an upload at a time: a link that broke may still be handled while its successor
// asks already.
class RoundController::Work::Claim {
 public:
  Claim(std::set<internal::UploadName>& names, internal::UploadName name)
      : names_(names), name_(name), held_(names.insert(name).second) {}
  ~Claim() {
    if (held_) names_.erase(name_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  Result<void> check() const {
    if (held_) return {};
    return fail(Errc::kUnavailable, "an earlier request of this upload is still being handled",
                place(name_.round, name_.device), "ask again in a moment");
  }

 private:
  std::set<internal::UploadName>& names_;
  internal::UploadName name_;
  bool held_;
};

Task<Result<UpdateBounds>> RoundController::Work::bounds_of(const RoundRecord& record) {
  const Digest base = record.plan.offer.artifact;
  const double max_norm = record.plan.max_update_norm;
  if (!base_values_.contains(base)) {
    CO_TRY(const auto pages, co_await hands_.open_artifact(base));
    base_values_[base] = internal::update_values(pages->manifest().config);
  }
  co_return UpdateBounds{base_values_[base], max_norm, kMaxUpdateTokens};
}

Task<Result<UploadStatus>> RoundController::Work::begin_upload(DeviceId device, UploadBegin begin) {
  const Claim claim(under_way_, {begin.round, device});
  CO_TRY_VOID(claim.check());
  co_return co_await this->begin(device, std::move(begin));
}

Task<Result<UploadStatus>> RoundController::Work::begin(DeviceId device, UploadBegin begin) {
  CO_TRY(const RoundMachine* machine, find(begin.round));
  const RoundRecord record = machine->record();
  CO_TRY(const UpdateBounds bounds, co_await bounds_of(record));
  if (begin.raw_bytes != bounds.values * sizeof(float) || begin.bytes == 0 ||
      begin.bytes > most_packed(begin.raw_bytes)) {
    co_return fail(Errc::kRefused, "the update's size does not fit the base",
                   place(begin.round, device));
  }
  CO_TRY_VOID(co_await drop_other_content(device, begin));
  CO_TRY_VOID(advance(begin.round, UploadBegun{device, begin}));
  co_return co_await status_of_upload(begin.round, device);
}

// Bytes of an update that was begun earlier and is not meant any more.
Task<Result<void>> RoundController::Work::drop_other_content(DeviceId device, UploadBegin begin) {
  const Participant* known = rounds_.at(begin.round).participant(device);
  if (known == nullptr || known->counted) co_return Result<void>{};
  if (known->upload && known->upload->content == begin.content) co_return Result<void>{};
  co_return co_await files_.remove({begin.round, device});
}

Task<Result<UploadStatus>> RoundController::Work::status_of_upload(RoundId round, DeviceId device) {
  const Participant* participant = rounds_.at(round).participant(device);
  if (participant->counted) {
    co_return UploadStatus{.have_bytes = participant->upload->bytes, .complete = true};
  }
  const std::uint64_t wanted = participant->upload->bytes;
  CO_TRY(const std::uint64_t have, co_await files_.have({round, device}));
  if (have < wanted) co_return UploadStatus{.have_bytes = have, .complete = false};
  co_return co_await verify(round, device);
}

// Every byte is there: check the update and count it, or drop it so that it can be sent again.
Task<Result<UploadStatus>> RoundController::Work::verify(RoundId round, DeviceId device) {
  const RoundRecord record = rounds_.at(round).record();
  const UploadBegin announced = *rounds_.at(round).participant(device)->upload;
  CO_TRY(const UpdateBounds bounds, co_await bounds_of(record));
  auto packed = std::make_shared<Result<Buffer>>(
      co_await files_.read({round, device}, most_packed(announced.raw_bytes)));
  if (!*packed) co_return tl::unexpected((*packed).error());
  auto checked = std::make_shared<Result<void>>();
  std::function<void()> job = [packed, checked, announced, device, bounds] {
    const auto opened = internal::open_update(device, announced, **packed, bounds);
    if (!opened) *checked = tl::unexpected(opened.error());
  };
  co_await env_.compute.run(std::move(job), Duration(announced.raw_bytes * 4));
  if (!*checked) {
    env_.log.warn("update rejected", {{"round", round.value()},
                                      {"device", device.value()},
                                      {"reason", to_string(checked->error())}});
    CO_TRY_VOID(co_await files_.remove({round, device}));
    CO_TRY_VOID(advance(round, UpdateRejected{device}));
    co_return tl::unexpected(checked->error());
  }
  CO_TRY_VOID(advance(round, UpdateVerified{device, announced.content}));
  env_.log.info("update counted", {{"round", round.value()}, {"device", device.value()}});
  co_return UploadStatus{.have_bytes = announced.bytes, .complete = true};
}

Task<Result<UploadStatus>> RoundController::Work::take_chunk(DeviceId device, UploadChunk chunk,
                                                             Buffer payload) {
  const Claim claim(under_way_, {chunk.round, device});
  CO_TRY_VOID(claim.check());
  co_return co_await store_chunk(device, std::move(chunk), std::move(payload));
}

Task<Result<UploadStatus>> RoundController::Work::store_chunk(DeviceId device, UploadChunk chunk,
                                                              Buffer payload) {
  CO_TRY(const RoundMachine* machine, find(chunk.round));
  const Participant* participant = machine->participant(device);
  if (participant == nullptr || !participant->upload) {
    co_return fail(Errc::kUsage, "this upload was not begun", place(chunk.round, device),
                   "begin it first");
  }
  const UploadBegin upload = *participant->upload;
  if (participant->counted) {
    co_return UploadStatus{.have_bytes = upload.bytes, .complete = true};
  }
  // The machine says whether the round still takes updates, in its own words.
  CO_TRY_VOID(advance(chunk.round, UploadBegun{device, upload}));
  if (payload.empty() || payload.size() > kMaxPayloadBytes || chunk.offset > upload.bytes ||
      payload.size() > upload.bytes - chunk.offset) {
    co_return fail(Errc::kUsage, "the chunk reaches past the update's end",
                   place(chunk.round, device));
  }
  const internal::UploadName name{chunk.round, device};
  CO_TRY(const std::uint64_t have, co_await files_.have(name));
  const bool fits = chunk.offset <= have && chunk.offset + payload.size() > have;
  if (fits) {
    CO_TRY_VOID(co_await files_.write(name, chunk.offset, payload));
  }
  co_return co_await status_of_upload(chunk.round, device);
}

}  // namespace skein
