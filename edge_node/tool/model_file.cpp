#include "edge_node/tool/model_file.h"

#include "common/artifact/artifact_file.h"
#include "common/checkpoint/checkpoint.h"
#include "common/cli/in_file.h"
#include "common/convert/convert.h"

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
    opened->from_artifact_ = true;
    TRY(opened->pages_, ArtifactFile::open(std::move(file), arguments.path));
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

Result<std::unique_ptr<ModelFile>> ModelFile::open(Disk& disk, const ModelArguments& arguments) {
  TRY(auto opened, open_pages(disk, arguments));
  auto model = Model::open(*opened->pages_);
  if (!model) return in_file(arguments.path, std::move(model.error()));
  opened->model_ = std::move(*model);
  if (arguments.needs_tokenizer) TRY_VOID(opened->check_tokenizer(arguments));
  return opened;
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

Digest ModelFile::digest() const { return manifest_digest(encode_manifest(manifest())); }

}  // namespace skein
