#include "coordinator/federation/internal/candidate.h"

#include <algorithm>

#include "common/crypto/sha256.h"
#include "common/model/evaluate.h"
#include "common/pack/pack.h"

namespace skein::internal {
namespace {

constexpr double kOperationsPerSecond = 2e10;  // what a simulated coordinator is charged by

Duration cost_of(double operations) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(operations / kOperationsPerSecond));
}

double operations_per_token(const ModelConfig& config) {
  const double width = config.width;
  return 2 * (config.layers * (4 * width * width + 2 * width * config.ffn_width) +
              width * config.vocab);
}

Result<Candidate> build_now(std::shared_ptr<PageSource> base, const RoundRecord& record,
                            std::span<const float> mean) {
  TRY(const auto model, Model::open(*base));
  const ModelConfig& config = model->config();
  const RwkvState initial = model->initial_state();
  const std::size_t per_layer = mean.size() / config.layers;
  std::vector<float> states(mean.begin(), mean.end());
  std::vector<CheckpointTensor> tensors;
  for (std::uint32_t l = 0; l < config.layers; ++l) {
    const auto start = initial.wkv(LayerIndex(l));
    const auto layer = std::span(states).subspan(l * per_layer, per_layer);
    for (std::size_t i = 0; i < layer.size(); ++i) layer[i] += start[i];
    tensors.push_back({.name = "blocks." + std::to_string(l) + ".att.time_state",
                       .shape = {config.heads, config.head_size, config.head_size},
                       .format = Format::kF32,
                       .data = std::as_bytes(layer)});
  }
  const std::string version =
      base->manifest().version + "+round" + std::to_string(record.round.value());
  TRY(auto artifact,
      with_tensors(*base, tensors, version, "state-tuning", record.plan.offer.artifact));
  Candidate made{.base = std::move(base), .artifact = std::move(artifact), .digest = {}};
  made.digest = manifest_digest(encode_manifest(made.artifact->manifest()));
  return made;
}

}  // namespace

std::size_t update_values(const ModelConfig& config) {
  return std::size_t{config.layers} * config.heads * config.head_size * config.head_size;
}

Result<DeviceUpdate> open_update(DeviceId device, const UploadBegin& announced, ByteView packed,
                                 const UpdateBounds& bounds) {
  if (packed.size() != announced.bytes || sha256(packed) != announced.content) {
    return fail(Errc::kCorrupt, "the update's bytes are not those that were announced",
                "device " + std::to_string(device.value()), "it is sent again from the start");
  }
  auto delta = unpack_floats(packed, bounds.values);
  if (!delta) return fail(Errc::kRefused, delta.error().what, delta.error().where);
  DeviceUpdate update{device, announced.tokens, std::move(*delta)};
  TRY_VOID(check_update(update, bounds));
  return update;
}

Task<Result<std::vector<float>>> combine(Env env, UploadFiles& files, RoundRecord record,
                                         UpdateBounds bounds) {
  auto updates = std::make_shared<std::vector<DeviceUpdate>>();
  for (const Participant& participant : record.participants) {
    if (!participant.counted) continue;
    const UploadName name{record.round, participant.device};
    CO_TRY(const Buffer packed, co_await files.read(name, participant.upload->bytes));
    CO_TRY(DeviceUpdate update,
           open_update(participant.device, *participant.upload, packed, bounds));
    updates->push_back(std::move(update));
  }
  auto mean = std::make_shared<std::vector<float>>();
  const Duration cost =
      cost_of(static_cast<double>(updates->size()) * static_cast<double>(bounds.values));
  std::function<void()> job = [updates, mean] { *mean = aggregate(*updates); };
  co_await env.compute.run(std::move(job), cost);
  co_return std::move(*mean);
}

Task<Result<Candidate>> build(Env env, std::shared_ptr<PageSource> base, RoundRecord record,
                              std::vector<float> mean) {
  auto made = std::make_shared<Result<Candidate>>(fail(Errc::kCancelled, "not built"));
  const Duration cost = cost_of(operations_per_token(base->manifest().config));
  std::function<void()> job = [made, base = std::move(base), record = std::move(record),
                               mean = std::move(mean)] { *made = build_now(base, record, mean); };
  co_await env.compute.run(std::move(job), cost);
  co_return std::move(*made);
}

namespace {

// What the jobs of one evaluation share; lives as long as any of them.
struct Measuring {
  std::shared_ptr<PageSource> pages;
  std::unique_ptr<Model> model;
  std::vector<TokenId> ids;
  std::unique_ptr<Evaluation> evaluation;

  Result<void> begin(std::string_view text, Parallel& parallel, std::uint32_t context) {
    TRY(model, Model::open(*pages));
    if (model->tokenizer() == nullptr) {
      return fail(Errc::kUnsupported, "the base carries no tokenizer", "held-out text");
    }
    TRY(ids, model->tokenizer()->encode(text));
    if (ids.empty()) return fail(Errc::kUsage, "the held-out text is empty");
    if (std::ranges::max(ids) >= model->config().vocab) {
      return fail(Errc::kUnsupported, "the held-out text has tokens the model does not know");
    }
    evaluation = std::make_unique<Evaluation>(*model, parallel, ids, context);
    return {};
  }
};

}  // namespace

Task<Result<double>> held_out_loss(Env env, std::shared_ptr<PageSource> pages, std::string text,
                                   std::uint32_t context) {
  const Duration cost = cost_of(operations_per_token(pages->manifest().config) * context);
  auto measuring = std::make_shared<Measuring>();
  measuring->pages = std::move(pages);
  auto went = std::make_shared<Result<void>>();
  Parallel& parallel = env.compute.parallel();
  std::function<void()> begin = [measuring, went, text = std::move(text), &parallel, context] {
    *went = measuring->begin(text, parallel, context);
  };
  co_await env.compute.run(std::move(begin), cost);
  CO_TRY_VOID(*went);
  while (!measuring->evaluation->done()) {
    std::function<void()> window = [measuring, went] {
      *went = measuring->evaluation->next_window();
    };
    co_await env.compute.run(std::move(window), cost);
    CO_TRY_VOID(*went);
  }
  const EvalResult& result = measuring->evaluation->result();
  co_return result.nll / static_cast<double>(result.tokens);
}

}  // namespace skein::internal
