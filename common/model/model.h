// Model: one set of weights, ready to compute with; immutable, shared by any number of sessions and
// threads. Built from a PageSource that must outlive it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/artifact/model_config.h"
#include "common/artifact/page_source.h"
#include "common/base/result.h"
#include "common/model/state.h"
#include "common/model/tokenizer.h"
#include "kernels/ops/matvec.h"

namespace skein {

struct ModelWeights;  // common/model/weights.h: spans into pages, vectors as floats
struct Workspace;     // scratch for one running forward pass; common/model/internal/workspace.h

class Model {
 public:
  // Reads the manifest's tensors, checks names and shapes against the architecture. Errors name the
  // tensor. Tokenizer: from the pages when the artifact has one.
  static Result<std::unique_ptr<Model>> open(PageSource& pages);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const;
  const Tokenizer* tokenizer() const;  // nullptr when the artifact carries none
  const std::string& chat_template() const;
  // The state every session starts from: zero, or the artifact's tuned initial WKV state
  // (tensors "blocks.N.att.time_state", shape {heads, head_size, head_size}).
  RwkvState initial_state() const;

  const ModelWeights& weights() const;  // for the rooms that differentiate the model

 private:
  Model();
  std::unique_ptr<ModelWeights> weights_;
};

// What travels between layers; also what a split session sends over the wire.
struct Activation {
  std::vector<float> x;        // (width): the residual stream
  std::vector<float> v_first;  // (width): layer 0's value vector, which every later layer mixes in
};

// Runs tokens through (part of) a model. Owns scratch; one per running computation, reused; not
// shared between threads. After warm-up no call allocates.
class Runner {
 public:
  Runner(const Model& model, Parallel& parallel);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // token < vocab. activation.x becomes LN0(embedding row).
  void embed(TokenId token, Activation& activation);
  // Layers [first, last) on activation, in place; advances those layers of `state` by one token.
  void layers(LayerIndex first, LayerIndex last, Activation& activation, RwkvState& state);
  // logits.size() == vocab: head(LNout(x)).
  void head(const Activation& activation, std::span<float> logits);
  // All of it: embed, every layer, head (skipped when logits is empty); state.step += 1.
  void step(TokenId token, RwkvState& state, std::span<float> logits);

  // Rows of channel-mix value matrices read so far, and rows there were (exact sparsity).
  struct Counters {
    std::uint64_t value_rows_read = 0, value_rows_total = 0;
  };
  const Counters& counters() const;

 private:
  const Model& model_;
  Parallel& parallel_;
  std::unique_ptr<Workspace> work_;
};

}  // namespace skein
