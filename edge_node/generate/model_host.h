// ModelHost: the model a device answers with, and its exchange while answers run. Owned by the app;
// loop thread only (a HostedModel, once made, may be computed with on Compute).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/artifact/slots.h"
#include "common/env/env.h"
#include "common/model/model.h"
#include "edge_node/generate/chat.h"

namespace skein {

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
};

class ModelHost {
 public:
  ModelHost(Env env, ChunkStore& store);

  // nullptr until a slot is loaded. Whoever keeps the pointer keeps that model, whatever is loaded
  // next.
  std::shared_ptr<const HostedModel> current() const { return current_; }
  // Opens beside the running model, then exchanges; on an error the running one stays.
  Task<Result<void>> load(Digest artifact);
  Task<void> stop();  // waits for the passes under way; sessions that wait are cancelled
  const PassCounters& passes() const { return *passes_; }
  // Artifacts that are current or still computed with.
  std::vector<Digest> in_use();

 private:
  Env env_;
  ChunkStore& store_;
  std::shared_ptr<const HostedModel> current_;
  std::vector<std::weak_ptr<const HostedModel>> alive_;
  std::shared_ptr<PassCounters> passes_ = std::make_shared<PassCounters>();
};

// What the simulator charges for `tokens` through the whole model; a rough figure.
Duration forward_cost(const ModelConfig& config, std::size_t tokens);

}  // namespace skein
