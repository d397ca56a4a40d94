#include "edge_node/tool/model_file.h"

#include "common/artifact/artifact_file.h"
#include "common/checkpoint/checkpoint.h"
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
    TRY(opened->own_tokenizer_, Tokenizer::parse(text));
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
  if (opened->vocabulary_) options.vocabulary = opened->vocabulary_->bytes();
  TRY(opened->pages_, convert(checkpoint, options));
  return opened;
}

Result<std::unique_ptr<ModelFile>> ModelFile::open(Disk& disk, const ModelArguments& arguments) {
  TRY(auto opened, open_pages(disk, arguments));
  TRY(opened->model_, Model::open(*opened->pages_));
  if (arguments.needs_tokenizer && opened->tokenizer() == nullptr) {
    return fail(Errc::kUsage, "the model carries no vocabulary", arguments.path,
                "name its vocabulary file with --vocab FILE");
  }
  return opened;
}

const Tokenizer* ModelFile::tokenizer() const {
  if (own_tokenizer_) return own_tokenizer_.get();
  return model_ ? model_->tokenizer() : nullptr;
}

Digest ModelFile::digest() const { return manifest_digest(encode_manifest(manifest())); }

}  // namespace skein
