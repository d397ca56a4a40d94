// ModelFile: what a person means by MODEL: a .skein artifact or a checkpoint, told apart by
// content, opened and ready to run. Owns the mapped file, the pages and the model. One thread at a
// time.
#pragma once

#include <memory>
#include <string>

#include "common/artifact/page_source.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "common/model/model.h"

namespace skein {

struct ModelArguments {
  std::string path;
  std::string vocabulary;        // --vocab FILE, for checkpoints without their own
  bool needs_digest = false;     // hash a checkpoint's pages, so that states can name the weights
  bool needs_tokenizer = false;  // there is one (else kUsage), and it fits the model
  std::string cache_folder;      // keeps which pages of which file were verified; empty: nothing
};

class ArtifactFile;

class ModelFile {
 public:
  static Task<Result<std::unique_ptr<ModelFile>>> open(Disk& disk, ModelArguments arguments);
  // The pages alone: for commands that look at a file without running it.
  static Result<std::unique_ptr<ModelFile>> open_pages(Disk& disk, const ModelArguments& arguments);
  ~ModelFile();

  const Model& model() const { return *model_; }
  // The vocabulary in use: the file's own, or --vocab's.
  const Tokenizer* tokenizer() const;
  PageSource& pages() { return *pages_; }
  const Manifest& manifest() const { return pages_->manifest(); }
  Digest digest() const;
  std::uint64_t file_bytes() const { return file_bytes_; }
  bool from_artifact() const { return artifact_ != nullptr; }
  bool is_coded() const;                             // an artifact whose pages are
  std::uint64_t stored_size(PageIndex index) const;  // of a page: in the file, or as laid out

 private:
  ModelFile() = default;
  void recall(Disk& disk, const ModelArguments& arguments);
  Task<void> remember(Disk& disk, std::string folder);
  Result<void> check_tokenizer(const ModelArguments& arguments) const;
  std::unique_ptr<MappedFile> file_;
  std::unique_ptr<MappedFile> vocabulary_;
  std::unique_ptr<PageSource> pages_;
  ArtifactFile* artifact_ = nullptr;  // pages_, when they are an artifact's
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> own_tokenizer_;
  std::uint64_t file_bytes_ = 0;
  Buffer recalled_;  // the record of verified pages that was found
};

}  // namespace skein
