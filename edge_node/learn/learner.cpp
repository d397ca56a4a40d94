#include "edge_node/learn/learner.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "common/crypto/sha256.h"
#include "common/env/disk.h"
#include "common/pack/pack.h"
#include "edge_node/learn/internal/update_file.h"
#include "edge_node/learn/trainer.h"

namespace skein {
namespace {

using internal::UpdateFile;

constexpr std::uint64_t kMaxTextBytes = 64U << 20;
constexpr std::size_t kMaxLearnTokens = 1U << 22;
constexpr std::size_t kMaxKeptUpdates = 16;  // rounds remembered on disk
constexpr float kMaxLearningRate = 10;
constexpr std::uint32_t kMaxEpochs = 100;
constexpr std::uint32_t kMaxContext = 4096;
constexpr double kOperationsPerSecond = 1e10;  // what a simulated device is charged by
constexpr std::string_view kFilePrefix = "round-";
constexpr std::string_view kFileSuffix = ".update";

std::string file_name(RoundId round) {
  std::string digits = std::to_string(round.value());
  digits.insert(0, 20 - std::min<std::size_t>(20, digits.size()), '0');  // so that names sort
  return std::string(kFilePrefix) + digits + std::string(kFileSuffix);
}

// The coordinator is believed about what to do, not about how much of it.
Result<void> check_offer(const RoundOffer& offer) {
  const auto refuse = [&](const char* field) {
    return fail(Errc::kRefused, std::string("the offer's ") + field + " is out of bounds",
                "round " + std::to_string(offer.round.value()));
  };
  const auto within_limit = [](float value, float limit) {
    return std::isfinite(value) && value > 0 && value <= limit;
  };
  if (!within_limit(offer.learning_rate, kMaxLearningRate)) return refuse("learning rate");
  if (!within_limit(offer.clip, 1e6F)) return refuse("clip");
  if (offer.epochs < 1 || offer.epochs > kMaxEpochs) return refuse("number of epochs");
  if (offer.context < 1 || offer.context > kMaxContext) return refuse("context");
  return {};
}

// What one window costs on a device, for virtual time.
Duration window_cost(const ModelConfig& config, std::uint32_t context) {
  const double width = config.width;
  const double layer = 4 * width * width + 2 * width * config.ffn_width;
  const double weights = config.layers * layer + width * config.vocab;
  const double seconds = 4 * weights * context / kOperationsPerSecond;  // forwards and back
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

LearnReport report_of(const UpdateFile& file) {
  return {.round = file.begin.round,
          .tokens = file.begin.tokens,
          .loss_before = file.begin.loss_before,
          .loss_after = file.begin.loss_after,
          .raw_bytes = file.begin.raw_bytes,
          .packed_bytes = file.begin.bytes,
          .counted = file.state == UpdateFile::State::kCounted};
}

// Idle again however the work ends, cancelled included.
class Busy {
 public:
  Busy(Learner::Status& status, RoundId round) : status_(status) {
    status_ = {.phase = Learner::Phase::kTraining,
               .round = round,
               .rounds_counted = status.rounds_counted};
  }
  ~Busy() { status_.phase = Learner::Phase::kIdle; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  Learner::Status& status_;
};

// The coordinator's word that this round will never take this update.
bool is_final(Errc code) {
  return code == Errc::kConflict || code == Errc::kRefused || code == Errc::kNotFound;
}

}  // namespace

class Learner::Work {
 public:
  Work(Env env, LearnerOptions options) : env_(env), options_(std::move(options)) {}

  Task<Result<LearnReport>> take_part(RoundOffer offer, LoadedModel model, CoordinatorCall call);
  bool consents() const { return options_.consent; }
  bool chunks_fit() const {
    return options_.chunk_bytes >= 1 && options_.chunk_bytes <= kMaxPayloadBytes;
  }

  Task<Result<std::uint64_t>> text_memory();

  Status status;

 private:
  std::string path_of(RoundId round) const {
    return join_path(options_.directory, file_name(round));
  }
  Task<Result<UpdateFile>> kept_update(const RoundOffer& offer);
  Task<Result<std::vector<TokenId>>> read_text(const RoundOffer& offer, const Model& model);
  Task<Result<UpdateFile>> train(RoundOffer offer, LoadedModel model);
  Task<void> train_windows(std::shared_ptr<Trainer> trainer, Duration cost);
  Result<UpdateFile> pack(const RoundOffer& offer, const Trainer& trainer) const;
  Task<Result<void>> keep(const UpdateFile& file);
  Task<Result<void>> forget_old();
  Task<Result<void>> upload(const UpdateFile& file, CoordinatorCall call);

  Env env_;
  LearnerOptions options_;
};

// kNotFound: nothing (usable) is kept for this round.
Task<Result<UpdateFile>> Learner::Work::kept_update(const RoundOffer& offer) {
  const std::string path = path_of(offer.round);
  CO_TRY(const Buffer bytes, co_await read_file(env_.disk, path, internal::kMaxUpdateFileBytes));
  auto file = internal::decode_update_file(bytes);
  if (!file) {
    env_.log.warn("kept update is damaged", {{"path", path}, {"reason", to_string(file.error())}});
    co_return fail(Errc::kNotFound, "no usable update is kept", path);
  }
  if (file->begin.round != offer.round || file->artifact != offer.artifact) {
    co_return fail(Errc::kNotFound, "the kept update is from another base", path);
  }
  co_return std::move(*file);
}

Task<Result<std::vector<TokenId>>> Learner::Work::read_text(const RoundOffer& offer,
                                                            const Model& model) {
  if (options_.text_path.empty()) {
    co_return fail(Errc::kNotFound, "this device has no text to learn from", "learn.text",
                   "name a text file in the configuration");
  }
  CO_TRY(const Buffer text, co_await read_file(env_.disk, options_.text_path, kMaxTextBytes));
  if (model.tokenizer() == nullptr) {
    co_return fail(Errc::kUnsupported, "the model carries no tokenizer", options_.text_path);
  }
  CO_TRY(std::vector<TokenId> ids, model.tokenizer()->encode(as_text(text)));
  const std::size_t limit = offer.max_tokens == 0
                                ? kMaxLearnTokens
                                : std::min<std::size_t>(offer.max_tokens, kMaxLearnTokens);
  if (ids.size() > limit) ids.resize(limit);
  if (ids.empty()) co_return fail(Errc::kNotFound, "the text is empty", options_.text_path);
  if (std::ranges::max(ids) >= model.config().vocab) {
    co_return fail(Errc::kUnsupported, "the text has tokens that the model has no embedding for",
                   options_.text_path);
  }
  co_return ids;
}

// The text and its ids, of a byte each at worst, which are handed on as copies.
Task<Result<std::uint64_t>> Learner::Work::text_memory() {
  if (options_.text_path.empty()) co_return 0;
  CO_TRY(const auto file, co_await env_.disk.open(options_.text_path, OpenMode::kRead));
  const std::uint64_t bytes = std::min(file->size(), kMaxTextBytes);
  co_return bytes * (1 + 4 * sizeof(TokenId));
}

Task<void> Learner::Work::train_windows(std::shared_ptr<Trainer> trainer, Duration cost) {
  while (!trainer->done()) {
    std::function<void()> window = [trainer] { trainer->next_window(); };
    co_await env_.compute.run(std::move(window), cost);
    status.windows_done = trainer->windows_done();
  }
}

Result<UpdateFile> Learner::Work::pack(const RoundOffer& offer, const Trainer& trainer) const {
  TRY(const ReleasableUpdate released,
      PrivacyFilter(options_.max_update_norm).apply(trainer.update()));
  UpdateFile file;
  file.artifact = offer.artifact;
  file.packed = pack_floats(released.delta());
  file.begin = {.round = offer.round,
                .content = sha256(file.packed),
                .bytes = file.packed.size(),
                .raw_bytes = released.delta().size_bytes(),
                .tokens = trainer.tokens(),
                .loss_before = trainer.loss_before(),
                .loss_after = trainer.loss_after()};
  return file;
}

Task<Result<UpdateFile>> Learner::Work::train(RoundOffer offer, LoadedModel model) {
  if (model.model->config().architecture != Architecture::kRwkv7) {
    co_return fail(Errc::kUnsupported, "only RWKV-7 models can be tuned on a device",
                   "round " + std::to_string(offer.round.value()),
                   "open the round on another model");
  }
  CO_TRY(std::vector<TokenId> ids, co_await read_text(offer, *model.model));
  const TrainerOptions how{.learning_rate = offer.learning_rate,
                           .epochs = offer.epochs,
                           .context = offer.context,
                           .clip = offer.clip};
  const Duration cost = window_cost(model.model->config(), offer.context);
  auto made = std::make_shared<Result<std::unique_ptr<Trainer>>>();
  std::function<void()> begin = [made, model, ids, how] {
    *made = Trainer::make(*model.model, ids, how);
  };
  co_await env_.compute.run(std::move(begin), cost);
  CO_TRY(std::shared_ptr<Trainer> trainer, std::move(*made));
  status.windows_total = trainer->windows_total();
  co_await train_windows(trainer, cost);
  CO_TRY(UpdateFile file, pack(offer, *trainer));
  env_.log.info("round trained", {{"round", offer.round.value()},
                                  {"tokens", file.begin.tokens},
                                  {"loss_before", file.begin.loss_before},
                                  {"loss_after", file.begin.loss_after},
                                  {"raw_bytes", file.begin.raw_bytes},
                                  {"packed_bytes", file.begin.bytes}});
  co_return file;
}

Task<Result<void>> Learner::Work::keep(const UpdateFile& file) {
  CO_TRY_VOID(co_await env_.disk.make_directories(options_.directory));
  const Buffer bytes = internal::encode_update_file(file);
  co_return co_await replace_file(env_.disk, path_of(file.begin.round), bytes);
}

Task<Result<void>> Learner::Work::forget_old() {
  CO_TRY(std::vector<std::string> names, co_await env_.disk.list(options_.directory));
  std::erase_if(names, [](const std::string& name) {
    return !name.starts_with(kFilePrefix) || !name.ends_with(kFileSuffix);
  });
  for (std::size_t i = 0; i + kMaxKeptUpdates < names.size(); ++i) {
    CO_TRY_VOID(co_await env_.disk.remove(join_path(options_.directory, names[i])));
  }
  co_return Result<void>{};
}

namespace {

Result<UploadStatus> upload_status(const Result<Envelope>& reply) {
  if (!reply) return tl::unexpected(reply.error());
  const auto* said = std::get_if<UploadStatus>(&reply->message);
  if (said == nullptr) {
    return fail(Errc::kCorrupt, "the coordinator answered an upload with another message",
                std::string(name_of(reply->message)));
  }
  return *said;
}

}  // namespace

Task<Result<void>> Learner::Work::upload(const UpdateFile& file, CoordinatorCall call) {
  Message request = file.begin;
  const Result<Envelope> begun = co_await call(std::move(request), Buffer{});
  CO_TRY(UploadStatus at, upload_status(begun));
  status.bytes_total = file.packed.size();
  while (!at.complete) {
    status.bytes_sent = at.have_bytes;
    if (at.have_bytes >= file.packed.size()) {
      co_return fail(Errc::kCorrupt, "the coordinator has every byte but has not counted them",
                     "round " + std::to_string(file.begin.round.value()));
    }
    const std::size_t count =
        std::min<std::size_t>(options_.chunk_bytes, file.packed.size() - at.have_bytes);
    Message chunk = UploadChunk{.round = file.begin.round, .offset = at.have_bytes};
    Buffer payload = to_buffer(ByteView(file.packed).subspan(at.have_bytes, count));
    const Result<Envelope> reply = co_await call(std::move(chunk), std::move(payload));
    CO_TRY(const UploadStatus next, upload_status(reply));
    if (!next.complete && next.have_bytes <= at.have_bytes) {
      co_return fail(Errc::kUnavailable, "the upload does not advance",
                     "byte " + std::to_string(at.have_bytes), "it is tried again later");
    }
    at = next;
  }
  status.bytes_sent = file.packed.size();
  co_return Result<void>{};
}

Task<Result<LearnReport>> Learner::Work::take_part(RoundOffer offer, LoadedModel model,
                                                   CoordinatorCall call) {
  auto kept = co_await kept_update(offer);
  if (!kept && kept.error().code != Errc::kNotFound) co_return tl::unexpected(kept.error());
  if (!kept) {
    kept = co_await train(offer, model);
    if (!kept) co_return tl::unexpected(kept.error());
    CO_TRY_VOID(co_await keep(*kept));
    CO_TRY_VOID(co_await forget_old());
  }
  if (kept->state != UpdateFile::State::kTrained) co_return report_of(*kept);
  status.phase = Phase::kUploading;
  const Result<void> sent = co_await upload(*kept, std::move(call));
  if (!sent && !is_final(sent.error().code)) co_return tl::unexpected(sent.error());
  kept->state = sent ? UpdateFile::State::kCounted : UpdateFile::State::kClosed;
  CO_TRY_VOID(co_await keep(*kept));
  if (sent) ++status.rounds_counted;
  env_.log.info(
      sent ? "update counted" : "round closed without this update",
      {{"round", offer.round.value()}, {"reason", sent ? std::string() : to_string(sent.error())}});
  co_return report_of(*kept);
}

Learner::Learner(Env env, LearnerOptions options)
    : work_(std::make_unique<Work>(env, std::move(options))) {
  CHECK(work_->chunks_fit());
}

Learner::~Learner() = default;

const Learner::Status& Learner::status() const { return work_->status; }

Task<Result<std::uint64_t>> Learner::memory(RoundOffer offer, const Manifest& manifest) {
  CO_TRY_VOID(check_offer(offer));
  const std::uint64_t training = Trainer::memory(manifest, offer.context);
  CO_TRY(const std::uint64_t text, co_await work_->text_memory());
  co_return training + text;
}

Task<Result<LearnReport>> Learner::take_part(RoundOffer offer, LoadedModel model,
                                             CoordinatorCall call) {
  if (!work_->consents()) {
    co_return fail(Errc::kRefused, "the owner has not agreed to learning", "learn.consent",
                   "set it to true to take part");
  }
  CO_TRY_VOID(check_offer(offer));
  if (model.model == nullptr || model.artifact != offer.artifact) {
    co_return fail(Errc::kConflict, "the round starts from an artifact that is not loaded",
                   offer.artifact.short_hex());
  }
  if (work_->status.phase != Phase::kIdle) {
    co_return fail(Errc::kConflict, "a round is being worked on",
                   "round " + std::to_string(work_->status.round.value()));
  }
  const Busy busy(work_->status, offer.round);
  co_return co_await work_->take_part(std::move(offer), std::move(model), std::move(call));
}

}  // namespace skein
