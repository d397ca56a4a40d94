#include "edge_node/tool/model_file.h"

#include "common/artifact/artifact_file.h"
#include "common/checkpoint/checkpoint.h"
#include "common/cli/in_file.h"
#include "common/convert/convert.h"
#include "edge_node/tool/internal/model_command.h"
#include "edge_node/tool/internal/process_memory.h"

namespace skein {

ModelFile::~ModelFile() = default;

Result<std::unique_ptr<ModelFile>> ModelFile::open_pages(Disk& disk,
                                                         const ModelArguments& arguments) {
  auto opened = std::unique_ptr<ModelFile>(new ModelFile);
  TRY(auto file, disk.map(arguments.path));
  opened->file_bytes_ = file->bytes().size();
  if (!arguments.vocabulary.empty()) {
    TRY(opened->vocabulary_, disk.map(arguments.vocabulary));
    const std::string_view text = as_text(opened->vocabulary_->bytes());
    auto parsed = Tokenizer::parse(text);
    if (!parsed) return in_file(arguments.vocabulary, std::move(parsed.error()));
    opened->own_tokenizer_ = std::move(*parsed);
  }
  if (is_artifact(file->bytes())) {
    TRY(auto artifact, ArtifactFile::open(std::move(file), arguments.path));
    opened->artifact_ = artifact.get();
    opened->pages_ = std::move(artifact);
    return opened;
  }
  opened->file_ = std::move(file);
  TRY(const Checkpoint checkpoint, read_checkpoint(opened->file_->bytes(), arguments.path));
  ConvertOptions options;
  options.hash_pages = arguments.needs_digest;
  options.vocabulary =
      opened->vocabulary_ ? opened->vocabulary_->bytes() : as_bytes(checkpoint.vocabulary);
  auto pages = convert(checkpoint, options);
  if (!pages) return in_file(arguments.path, std::move(pages.error()));
  opened->pages_ = std::move(*pages);
  return opened;
}

namespace {

constexpr std::uint64_t kReadAtOnce = std::uint64_t{1} << 20;

// Every byte of the file, in order, as fast as the disk gives them.
Task<Result<void>> read_through(Disk& disk, std::string path) {
  CO_TRY(const auto file, co_await disk.open(path, OpenMode::kRead));
  Buffer piece(std::min(kReadAtOnce, file->size()));
  for (std::uint64_t at = 0; at < file->size(); at += piece.size()) {
    const std::uint64_t count = std::min<std::uint64_t>(piece.size(), file->size() - at);
    CO_TRY_VOID(co_await file->read_at(at, std::span(piece).first(count)));
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<std::unique_ptr<ModelFile>>> ModelFile::open(Disk& disk, ModelArguments arguments) {
  CO_TRY(auto opened, open_pages(disk, arguments));
  opened->recall(disk, arguments);
  auto model = Model::open(*opened->pages_);
  if (!model) co_return in_file(arguments.path, std::move(model.error()));
  opened->model_ = std::move(*model);
  if (arguments.needs_tokenizer) CO_TRY_VOID(opened->check_tokenizer(arguments));
  co_await opened->remember(disk, std::move(arguments.cache_folder));
  co_return opened;
}

Task<Result<std::unique_ptr<ModelFile>>> ModelFile::open(Env env, ModelArguments arguments) {
  if (arguments.memory_budget != 0) co_return co_await open_paged(env, std::move(arguments));
  if (arguments.slow_storage) CO_TRY_VOID(co_await read_through(env.disk, arguments.path));
  co_return co_await open(env.disk, std::move(arguments));
}

namespace {

// A vocabulary as a tree of bytes, the masks of states, what walks work in.
std::uint64_t bytes_to_follow(const Manifest& manifest) {
  return manifest.tokenizer.bytes * 12 + std::uint64_t{manifest.config.vocab} * 32 +
         (std::uint64_t{2} << 20);
}

}  // namespace

Result<ModelFile::Planned> ModelFile::plan_paging(Env env, const ModelArguments& arguments) {
  if (!arguments.vocabulary.empty()) {
    return fail(Errc::kUsage, "a vocabulary of its own does not go with a memory budget", "--vocab",
                "use the one that the artifact carries");
  }
  env.pressure.give_back();  // looking at the file does not come on top of having started
  {
    TRY(const auto file, env.disk.map(arguments.path));
    if (!is_artifact(file->bytes())) {
      return fail(Errc::kUsage, "only an artifact can be run under a memory budget", arguments.path,
                  "make one with `skein import` or `skein compress`");
    }
  }
  TRY(Pager::Artifact artifact, Pager::look_at(env.disk, arguments.path));
  const std::uint64_t row = std::uint64_t{artifact.manifest.config.vocab} * sizeof(float);
  // What measuring takes is less than what the model will, and is given back.
  TRY(MeasuredPaging measured,
      measure_paging(env.disk, env.clock, env.compute.parallel(), artifact));
  if (const auto& given = arguments.paging_rates; given.size() == 3) {
    measured.rates = {given[0] * 1e6, given[1] * 1e6, given[2] * 1e6};
  }
  ResidencyRequest request = artifact.request();
  request.budget = arguments.memory_budget;
  const ProcessMemory process = tool::lean_process(env.pressure);
  request.baseline = process.resident_bytes;
  request.peak = process.peak_bytes;
  request.extra = arguments.extra_bytes + arguments.extra_rows * row;
  if (arguments.follows_grammar) request.extra += bytes_to_follow(artifact.manifest);
  if (arguments.saves_state) request.extra += RwkvState(artifact.manifest.config).bytes();
  request.row_bytes = arguments.logits_of_rows ? row : 0;
  request.sessions = arguments.sessions;
  request.answer_bytes = arguments.answer_bytes;
  request.largest_share = arguments.largest_share;
  request.threads = static_cast<std::uint32_t>(env.compute.parallel().threads());
  request.rates = measured.rates;
  request.coded_share = measured.coded_share;
  TRY(ResidencyPlan plan, plan_residency(artifact.manifest, request));
  return Planned{std::move(artifact), std::move(plan), measured};
}

Task<Result<std::unique_ptr<ModelFile>>> ModelFile::open_paged(Env env, ModelArguments arguments) {
  auto opened = std::unique_ptr<ModelFile>(new ModelFile);
  TagKey key;
  env.random.fill(key);
  auto work = [&]() -> Result<void> {
    TRY(Planned planned, plan_paging(env, arguments));
    opened->file_bytes_ = planned.artifact.offsets.back();
    TRY(auto pager, Pager::open(env.disk, env.clock, env.compute.parallel(),
                                std::move(planned.artifact), std::move(planned.plan), key));
    opened->pager_ = pager.get();
    opened->pages_ = std::move(pager);
    auto model = Model::open(*opened->pages_);
    if (!model) return in_file(arguments.path, std::move(model.error()));
    opened->model_ = std::move(*model);
    return {};
  };
  CO_TRY_VOID(co_await tool::on_compute(env, work));
  env.pressure.give_back();
  if (arguments.needs_tokenizer) CO_TRY_VOID(opened->check_tokenizer(arguments));
  co_return opened;
}

namespace {

constexpr std::size_t kMostRecords = 256;  // then all are dropped and made anew

std::string record_path(const std::string& folder, const ArtifactFile& artifact) {
  return join_path(folder, "verified-" + artifact.digest().hex());
}

}  // namespace

void ModelFile::recall(Disk& disk, const ModelArguments& arguments) {
  if (artifact_ == nullptr || arguments.cache_folder.empty()) return;
  const auto record = disk.map(record_path(arguments.cache_folder, *artifact_));
  if (record && artifact_->take_verified((*record)->bytes())) {
    recalled_ = to_buffer((*record)->bytes());
  }
}

// A record that cannot be kept is missed by nobody: the next process verifies again.
Task<void> ModelFile::remember(Disk& disk, std::string folder) {
  if (artifact_ == nullptr || folder.empty()) co_return;
  const Buffer record = artifact_->verified_pages();
  if (record.empty() || record == recalled_) co_return;
  const auto made = co_await disk.make_directories(folder);
  if (!made) co_return;
  const auto names = co_await disk.list(folder);
  if (!names) co_return;
  for (const std::string& name : *names) {
    if (names->size() < kMostRecords) break;
    std::string old = join_path(folder, name);
    if (name.starts_with("verified-")) (void)co_await disk.remove(std::move(old));
  }
  std::string path = record_path(folder, *artifact_);
  (void)co_await replace_file(disk, std::move(path), record);
}

Result<void> ModelFile::check_tokenizer(const ModelArguments& arguments) const {
  if (tokenizer() == nullptr) {
    return fail(Errc::kUsage, "the model carries no vocabulary", arguments.path,
                "name its vocabulary file with --vocab FILE");
  }
  const std::uint32_t ids = model_->config().vocab;
  if (tokenizer()->largest_id() < ids) return {};
  return fail(Errc::kUnsupported,
              "the vocabulary goes to id " + std::to_string(tokenizer()->largest_id()) +
                  ", the model to " + std::to_string(ids - 1),
              arguments.vocabulary.empty() ? arguments.path : arguments.vocabulary,
              "name the vocabulary that the model was trained with (--vocab FILE)");
}

const Tokenizer* ModelFile::tokenizer() const {
  if (own_tokenizer_) return own_tokenizer_.get();
  return model_ ? model_->tokenizer() : nullptr;
}

bool ModelFile::is_coded() const {
  return artifact_ != nullptr && artifact_->coding() == PageCoding::kCoded;
}

std::uint64_t ModelFile::stored_size(PageIndex index) const {
  return artifact_ != nullptr ? artifact_->stored_size(index)
                              : manifest().pages.at(index.value()).bytes;
}

Digest ModelFile::digest() const { return manifest_digest(encode_manifest(manifest())); }

}  // namespace skein
