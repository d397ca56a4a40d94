#include "edge_node/generate/model_host.h"

#include "edge_node/generate/internal/batcher.h"

namespace skein {

ModelHost::ModelHost(Env env, ChunkStore& store) : env_(env), store_(store) {}

Task<Result<void>> ModelHost::load(Digest artifact) {
  if (current_ && current_->digest == artifact) co_return Result<void>{};
  CO_TRY(auto pages, co_await SlotPages::open(store_, artifact));
  auto hosted = std::make_shared<HostedModel>();
  const Manifest& manifest = pages->manifest();
  hosted->digest = artifact;
  hosted->name = manifest.name.empty() ? artifact.short_hex() : manifest.name;
  hosted->version = manifest.version;
  CO_TRY(hosted->chat, ChatTemplate::parse(manifest.chat_template));
  const Duration cost = forward_cost(manifest.config, 8);
  hosted->pages = std::move(pages);
  Result<std::unique_ptr<Model>> model = fail(Errc::kCancelled, "not opened");
  std::function<void()> job = [&] { model = Model::open(*hosted->pages); };
  co_await env_.compute.run(std::move(job), cost);
  CO_TRY(hosted->model, std::move(model));
  hosted->batcher = std::make_shared<Batcher>(env_, *hosted->model, passes_);
  alive_.push_back(hosted);
  current_ = std::move(hosted);
  env_.log.info("model loaded", {{"artifact", artifact.short_hex()},
                                 {"name", current_->name},
                                 {"version", current_->version}});
  co_return Result<void>{};
}

Task<void> ModelHost::stop() {
  const auto models = alive_;  // another may be loaded meanwhile
  for (const auto& model : models) {
    if (const auto held = model.lock()) co_await held->batcher->stop();
  }
}

std::vector<Digest> ModelHost::in_use() {
  std::erase_if(alive_, [](const auto& model) { return model.expired(); });
  std::vector<Digest> digests;
  for (const auto& model : alive_) {
    if (const auto held = model.lock()) digests.push_back(held->digest);
  }
  return digests;
}

Duration forward_cost(const ModelConfig& config, std::size_t tokens) {
  const std::uint64_t width = config.width;
  const std::uint64_t layer = 4 * width * width + 2 * width * config.ffn_width;
  const std::uint64_t weights = config.layers * layer + width * config.vocab;
  return Duration(static_cast<std::int64_t>(weights * tokens / 4));
}

}  // namespace skein
