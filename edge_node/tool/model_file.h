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
#include "edge_node/paging/pager.h"
#include "edge_node/paging/paging_rates.h"

namespace skein {

struct ModelArguments {
  std::string path;
  std::string vocabulary;        // --vocab FILE, for checkpoints without their own
  bool needs_digest = false;     // hash a checkpoint's pages, so that states can name the weights
  bool needs_tokenizer = false;  // there is one (else kUsage), and it fits the model
  std::string cache_folder;      // keeps which pages of which file were verified; empty: nothing
  // Of the whole process; 0 = as it comes. Only artifacts can be run under one.
  std::uint64_t memory_budget = 0;
  std::uint64_t extra_bytes = 0;  // of the budget, for the command's own results
  std::uint64_t extra_rows = 0;   // likewise: rows of logits that it keeps
  bool logits_of_rows = false;    // it looks at those of every token of a pass
  bool follows_grammar = false;
  bool saves_state = false;
  double largest_share = 0.5;  // as ResidencyRequest has it
  std::uint32_t sessions = 1;  // states at once, and a token of the vocabulary in each ...
  std::uint32_t answer_bytes = sizeof(float);  // ... so much: a logit, and what a sampler takes
  // Reads are made slower (Command::storage_mbps). Without a budget what is mapped is not read but
  // looked at, so the file is read once before.
  bool slow_storage = false;
  // What the plan goes by instead of measuring: million bytes a second that storage, a coder and
  // memory deliver.
  std::vector<double> paging_rates;
};

class ArtifactFile;

class ModelFile {
 public:
  // Under the arguments' budget, if there is one: Errc::kOutOfRoom says the smallest that works.
  static Task<Result<std::unique_ptr<ModelFile>>> open(Env env, ModelArguments arguments);
  static Task<Result<std::unique_ptr<ModelFile>>> open(Disk& disk, ModelArguments arguments);
  // The pages alone: for commands that look at a file without running it.
  static Result<std::unique_ptr<ModelFile>> open_pages(Disk& disk, const ModelArguments& arguments);
  // A plan for an artifact in this process as it is now, on this device; on Compute. Errc::kUsage
  // for what is no artifact.
  struct Planned {
    Pager::Artifact artifact;
    ResidencyPlan plan;
    MeasuredPaging measured;  // that it goes by
  };
  static Result<Planned> plan_paging(Env env, const ModelArguments& arguments);
  ~ModelFile();

  const Model& model() const { return *model_; }
  // The vocabulary in use: the file's own, or --vocab's.
  const Tokenizer* tokenizer() const;
  PageSource& pages() { return *pages_; }
  const Manifest& manifest() const { return pages_->manifest(); }
  Digest digest() const;
  std::uint64_t file_bytes() const { return file_bytes_; }
  bool from_artifact() const { return artifact_ != nullptr || pager_ != nullptr; }
  bool is_coded() const;                             // an artifact whose pages are
  std::uint64_t stored_size(PageIndex index) const;  // of a page: in the file, or as laid out
  const Pager* pager() const { return pager_; }      // nullptr without a budget

 private:
  ModelFile() = default;
  static Task<Result<std::unique_ptr<ModelFile>>> open_paged(Env env, ModelArguments arguments);
  void recall(Disk& disk, const ModelArguments& arguments);
  Task<void> remember(Disk& disk, std::string folder);
  Result<void> check_tokenizer(const ModelArguments& arguments) const;
  std::unique_ptr<MappedFile> file_;
  std::unique_ptr<MappedFile> vocabulary_;
  std::unique_ptr<PageSource> pages_;
  ArtifactFile* artifact_ = nullptr;  // pages_, when they are an artifact's
  Pager* pager_ = nullptr;            // pages_, when there is a budget
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> own_tokenizer_;
  std::uint64_t file_bytes_ = 0;
  Buffer recalled_;  // the record of verified pages that was found
};

}  // namespace skein
