#include "edge_node/generate/model_host.h"

#include "edge_node/generate/internal/batcher.h"

namespace skein {

Result<WeightMemory::Stay> HostedModel::enter() const {
  if (memory == nullptr) return WeightMemory::Stay(nullptr);
  return memory->enter(*budgeted, model.get());
}

ModelHost::ModelHost(Env env, ChunkStore& store, HostOptions options)
    : env_(env), store_(store), options_(std::move(options)), files_(store, options_.folder) {
  if (options_.memory) memory_.emplace(env, *options_.memory);
}

Task<Result<void>> ModelHost::load(Digest artifact) {
  if (current_ && current_->digest == artifact) co_return Result<void>{};
  Task<Result<std::shared_ptr<HostedModel>>> opening =
      memory_ ? open_budgeted(artifact) : open(artifact);
  CO_TRY(auto hosted, co_await std::move(opening));
  const Manifest& manifest = hosted->pages->manifest();
  hosted->digest = artifact;
  hosted->name = manifest.name.empty() ? artifact.short_hex() : manifest.name;
  hosted->version = manifest.version;
  CO_TRY(hosted->chat, ChatTemplate::parse(manifest.chat_template));
  hosted->batcher = std::make_shared<Batcher>(env_, *hosted->model, passes_);
  alive_.push_back(hosted);
  current_ = std::move(hosted);
  env_.log.info("model loaded", {{"artifact", artifact.short_hex()},
                                 {"name", current_->name},
                                 {"version", current_->version}});
  co_return Result<void>{};
}

Task<Result<std::shared_ptr<HostedModel>>> ModelHost::open(Digest artifact) {
  CO_TRY(auto pages, co_await SlotPages::open(store_, artifact));
  auto hosted = std::make_shared<HostedModel>();
  const Duration cost = forward_cost(pages->manifest().config, 8);
  hosted->pages = std::move(pages);
  Result<std::unique_ptr<Model>> model = fail(Errc::kCancelled, "not opened");
  auto vocabulary = known_vocabulary(hosted->pages->manifest());
  std::function<void()> job = [&] { model = Model::open(*hosted->pages, vocabulary); };
  co_await env_.compute.run(std::move(job), cost);
  CO_TRY(hosted->model, std::move(model));
  co_return hosted;
}

Task<Result<std::shared_ptr<const HostedModel>>> ModelHost::open_whole(Digest artifact) {
  CO_TRY(auto hosted, co_await open(artifact));
  hosted->digest = artifact;
  co_return hosted;
}

std::shared_ptr<const Tokenizer> ModelHost::known_vocabulary(const Manifest& manifest) const {
  for (const auto& model : alive_) {
    const auto held = model.lock();
    if (held && have_same_vocabulary(held->pages->manifest(), manifest)) {
      return held->model->vocabulary();
    }
  }
  return nullptr;
}

// Every page is mapped; beside them are vectors as floats, a parsed vocabulary (as much as
// edge_node/paging counts for one) and tables.
std::uint64_t ModelHost::memory_of_whole(const Manifest& manifest) {
  constexpr std::uint64_t kMapped = 4096 + 512, kVocabularyTimes = 6;
  constexpr std::uint64_t kSmallThings = std::uint64_t{1} << 20;
  std::uint64_t bytes = manifest.tokenizer.bytes * kVocabularyTimes + kSmallThings;
  for (const PageEntry& page : manifest.pages) bytes += page.bytes + kMapped;
  for (const TensorEntry& tensor : manifest.tensors) {
    bytes += 2 * sizeof(TensorEntry) + tensor.segments.size() * 2 * sizeof(Segment);
    if (tensor.rows == 1) bytes += std::uint64_t{tensor.cols} * sizeof(float);
  }
  return bytes;
}

// Waits for memory that is lent, or that the machine is short of at present.
Task<Result<std::unique_ptr<BudgetedPages>>> ModelHost::look_at(Digest artifact) {
  CO_TRY(const std::string path, co_await files_.lay_out(artifact));
  const Instant until = env_.clock.now() + kLongestWaitForMemory;
  for (bool waits = false;; waits = true) {
    auto pages = memory_->look_at(path, artifact);
    const bool is_short = !pages && pages.error().code == Errc::kUnavailable;
    if (!is_short || env_.clock.now() >= until) co_return pages;
    if (!waits) env_.log.info("model waits for memory", {{"artifact", artifact.short_hex()}});
    co_await env_.clock.sleep_for(kMemoryAskedEvery);
  }
}

Task<Result<std::shared_ptr<HostedModel>>> ModelHost::open_budgeted(Digest artifact) {
  CO_TRY(auto pages, co_await look_at(artifact));
  auto hosted = std::make_shared<HostedModel>();
  hosted->memory = &*memory_;
  hosted->budgeted = pages.get();
  hosted->pages = std::move(pages);
  hosted->mend = [this, budgeted = hosted->budgeted, artifact] {
    return mend(*budgeted, artifact);
  };
  Result<std::unique_ptr<Model>> model = fail(Errc::kCancelled, "not opened");
  const auto vocabulary = known_vocabulary(hosted->pages->manifest());
  for (unsigned tries = 0; !model && tries <= kMostMends; ++tries) {
    std::function<void()> job = [&] {
      const auto stay = hosted->enter();
      model = stay ? Model::open(*hosted->pages, vocabulary) : tl::unexpected<Error>(stay.error());
    };
    co_await env_.compute.run(std::move(job), forward_cost(hosted->pages->manifest().config, 8));
    if (model || !is_page_trouble(model.error().code)) break;
    if (const auto mended = co_await hosted->mend(); !mended) break;
  }
  CO_TRY(hosted->model, std::move(model));
  co_return hosted;
}

Task<Result<void>> ModelHost::make_room(std::size_t sessions) {
  if (!memory_ || !memory_->must_plan(sessions)) co_return Result<void>{};
  Result<void> made;
  std::function<void()> job = [&] { made = memory_->plan_sessions(sessions); };
  co_await env_.compute.run(std::move(job), Duration{});
  co_return made;
}

Task<Result<void>> ModelHost::try_out(Digest artifact, Trial trial, Duration cost) {
  CO_TRY(const auto pages, co_await look_at(artifact));
  Result<void> outcome;
  const auto vocabulary = known_vocabulary(pages->manifest());
  std::function<void()> job = [&] {
    {
      const auto stay = memory_->enter(*pages, nullptr);
      outcome = stay ? trial(*pages, vocabulary) : tl::unexpected<Error>(stay.error());
    }
    memory_->leave(*pages);
  };
  co_await env_.compute.run(std::move(job), cost);
  if (!outcome) co_await files_.remove(artifact);
  co_return outcome;
}

Task<void> ModelHost::sweep() {
  if (!memory_) co_return;
  std::vector<Digest> used = in_use();
  const auto swept = co_await files_.keep_only(std::move(used));
  if (!swept) env_.log.warn("old files not removed", {{"reason", to_string(swept.error())}});
}

// Pages that a pass found wrong are written into the file anew; where the file itself is not what
// it was, all of it is.
Task<Result<void>> ModelHost::mend(BudgetedPages& pages, Digest artifact) {
  const std::vector<std::uint32_t> damaged = pages.take_damaged();
  if (damaged.empty()) co_return co_await lay_out_anew(pages, artifact);
  for (const std::uint32_t index : damaged) {
    const PageEntry entry = pages.manifest().pages[index];
    CO_TRY(const Buffer bytes, co_await good_page(entry));
    const auto written = co_await files_.mend(artifact, PageIndex(index), bytes);
    if (!written &&
        (written.error().code == Errc::kCorrupt || written.error().code == Errc::kNotFound)) {
      co_return co_await lay_out_anew(pages, artifact);
    }
    CO_TRY_VOID(written);
    ++pages_mended_;
    env_.log.warn("page mended", {{"artifact", artifact.short_hex()}, {"page", index}});
  }
  co_return Result<void>{};
}

// From the store, which is mended too where its page is damaged or gone.
Task<Result<Buffer>> ModelHost::good_page(const PageEntry& entry) {
  auto stored = co_await store_.get(entry.digest);
  if (stored || !options_.fetch_page) co_return stored;
  CO_TRY(Buffer fetched, co_await options_.fetch_page(entry));
  CO_TRY_VOID(co_await store_.put(entry.digest, fetched));
  CO_TRY_VOID(co_await store_.sync());
  co_return fetched;
}

Task<Result<void>> ModelHost::lay_out_anew(BudgetedPages& pages, Digest artifact) {
  for (const PageEntry& entry : pages.manifest().pages) {
    CO_TRY_VOID(co_await good_page(entry));
  }
  co_await files_.remove(artifact);
  CO_TRY_VOID(co_await files_.lay_out(artifact));
  pages.read_anew();
  env_.log.warn("pages laid out anew", {{"artifact", artifact.short_hex()}});
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
