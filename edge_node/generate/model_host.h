// ModelHost: the model a device answers with, and its exchange while answers run. Owned by the app;
// loop thread only (a HostedModel, once made, may be computed with on Compute).
//
// Under a budget weights are in memory while their model computes, one model's at a time; they are
// read from a file that is laid out from the store's pages. A page of it that is wrong is replaced
// between two passes, from the store or from the coordinator, and the pass is run again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/artifact/slots.h"
#include "common/env/env.h"
#include "common/model/model.h"
#include "edge_node/generate/chat.h"
#include "edge_node/paging/slot_file.h"
#include "edge_node/paging/weight_memory.h"

namespace skein {

// For memory that is lent or that the machine is short of, before a model is refused for it.
inline constexpr Duration kLongestWaitForMemory = std::chrono::minutes(30);
inline constexpr Duration kMemoryAskedEvery = std::chrono::seconds(1);
inline constexpr unsigned kMostMends = 16;  // of one pass; then its sessions end

class Batcher;  // internal/batcher.h

// Passes over the weights of every model hosted so far.
struct PassCounters {
  std::uint64_t passes = 0;
  std::uint64_t rows = 0;       // tokens fed, over all passes
  std::uint64_t sequences = 0;  // sessions that shared them, over all passes
  std::uint64_t value_rows_read = 0, value_rows_total = 0;  // as Runner::Counters
};

// Everything of one artifact that answers need; lives as long as somebody holds it.
struct HostedModel {
  Digest digest;
  std::string name;
  std::string version;
  ChatTemplate chat;
  std::unique_ptr<PageSource> pages;  // outlives the model
  std::unique_ptr<Model> model;
  std::shared_ptr<Batcher> batcher;  // runs this model's sessions together

  // Under a budget; else all weights are in memory and these are empty.
  WeightMemory* memory = nullptr;
  BudgetedPages* budgeted = nullptr;         // pages
  std::function<Task<Result<void>>()> mend;  // after a pass that failed at a page

  // In every job on Compute, for as long as it computes with the model.
  Result<WeightMemory::Stay> enter() const;
};

struct HostOptions {
  std::optional<WeightMemory::Options> memory;  // the budget, if there is one
  std::string folder;                           // for files laid out for paging
  // A page from elsewhere, when the store's is damaged too; empty: there is nobody to ask.
  std::function<Task<Result<Buffer>>(PageEntry)> fetch_page;
};

class ModelHost {
 public:
  ModelHost(Env env, ChunkStore& store, HostOptions options = {});

  // nullptr until a slot is loaded. Whoever keeps the pointer keeps that model, whatever is loaded
  // next.
  std::shared_ptr<const HostedModel> current() const { return current_; }
  // Opens beside the running model, then exchanges; on an error the running one stays.
  Task<Result<void>> load(Digest artifact);
  Task<void> stop();  // waits for the passes under way; sessions that wait are cancelled
  const PassCounters& passes() const { return *passes_; }
  // Artifacts that are current or still computed with.
  std::vector<Digest> in_use();

  // Under a budget, before the last of so many sessions makes its state: memory for it is free
  // when this returns.
  Task<Result<void>> make_room(std::size_t sessions);
  // Runs `trial` on Compute with a stored artifact's pages, and with its vocabulary if a model has
  // the same, within the budget.
  using Trial = std::function<Result<void>(PageSource&, std::shared_ptr<const Tokenizer>)>;
  Task<Result<void>> try_out(Digest artifact, Trial trial, Duration cost);
  // All of a stored artifact in memory, whatever the budget: for whoever was lent so much of it.
  Task<Result<std::shared_ptr<const HostedModel>>> open_whole(Digest artifact);
  static std::uint64_t memory_of_whole(const Manifest& manifest);  // bytes, at most
  // Files of artifacts that are not in use any more.
  Task<void> sweep();
  WeightMemory* memory() { return memory_ ? &*memory_ : nullptr; }  // nullptr: no budget
  std::uint64_t pages_mended() const { return pages_mended_; }

 private:
  Task<Result<std::shared_ptr<HostedModel>>> open(Digest artifact);
  Task<Result<std::shared_ptr<HostedModel>>> open_budgeted(Digest artifact);
  std::shared_ptr<const Tokenizer> known_vocabulary(const Manifest& manifest) const;
  Task<Result<std::unique_ptr<BudgetedPages>>> look_at(Digest artifact);
  Task<Result<void>> mend(BudgetedPages& pages, Digest artifact);
  Task<Result<Buffer>> good_page(const PageEntry& entry);
  Task<Result<void>> lay_out_anew(BudgetedPages& pages, Digest artifact);

  Env env_;
  ChunkStore& store_;
  HostOptions options_;
  std::optional<WeightMemory> memory_;
  SlotFiles files_;
  std::uint64_t pages_mended_ = 0;
  std::shared_ptr<const HostedModel> current_;
  std::vector<std::weak_ptr<const HostedModel>> alive_;
  std::shared_ptr<PassCounters> passes_ = std::make_shared<PassCounters>();
};

// Whether a pass failed at a page that may be mended or read again.
inline bool is_page_trouble(Errc code) {
  return code == Errc::kCorrupt || code == Errc::kInput || code == Errc::kNotFound;
}

// What the simulator charges for `tokens` through the whole model; a rough figure.
Duration forward_cost(const ModelConfig& config, std::size_t tokens);

}  // namespace skein
