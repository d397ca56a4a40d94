// Model: one set of weights, ready to compute with; immutable, shared by any number of sessions and
// threads. Built from a PageSource that must outlive it and
// which is the model's alone from then on: its embedding is read from there, by any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/artifact/model_config.h"
#include "common/artifact/page_source.h"
#include "common/base/result.h"
#include "common/model/state.h"
#include "common/model/tokenizer.h"
#include "kernels/ops/matmul.h"

namespace skein {

struct ModelWeights;  // common/model/weights.h: spans into pages, vectors as floats
struct Workspace;     // scratch for a running forward pass; common/model/internal/workspace.h

class Model {
 public:
  // Reads the manifest's tensors, checks names and shapes against the architecture. Errors name the
  // tensor. Tokenizer: from the pages when the artifact has one, or `vocabulary`, which was read
  // from the same ones.
  static Result<std::unique_ptr<Model>> open(PageSource& pages,
                                             std::shared_ptr<const Tokenizer> vocabulary = nullptr);
  // The same source, whose pages lie elsewhere by now: views into them are made anew. Nobody
  // computes with the model meanwhile, nor after an error until this has worked; all else about the
  // model stays where it is and may be asked for by any thread.
  Result<void> reread(PageSource& pages);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const;
  const Tokenizer* tokenizer() const;                   // nullptr when the artifact carries none
  std::shared_ptr<const Tokenizer> vocabulary() const;  // the same, to keep
  const std::string& chat_template() const;
  // The state every session starts from: zero, or the artifact's tuned initial WKV state
  // (tensors "blocks.N.att.time_state", shape {heads, head_size, head_size}).
  RwkvState initial_state() const;

  const ModelWeights& weights() const;  // for the rooms that differentiate the model

 private:
  Model();
  std::unique_ptr<ModelWeights> weights_;
  std::optional<RwkvState> tuned_;  // the state to start from, unless it is zero
};

// What travels between layers, one row a token; also what a split session sends over the wire.
struct Activation {
  std::vector<float> x;        // (rows, width): the residual stream
  std::vector<float> v_first;  // (rows, width): layer 0's value vectors, which later layers mix in
};

// A sequence's share of a pass: the next `rows` tokens of one session.
struct SequenceRows {
  RwkvState* state = nullptr;
  std::uint32_t rows = 1;
};

// A session's next tokens, and where the logits go: nowhere (empty), or vocab floats after the last
// token, or vocab floats after each.
struct Feed {
  std::span<const TokenId> tokens;
  RwkvState* state = nullptr;
  std::span<float> logits;
  // Not 0: only the `most` largest logits are wanted, with all that equal the least of them; the
  // others may come as minus infinity, where the artifact has what spares computing them.
  std::uint32_t most = 0;
};

// Hears what a model's matrices multiply, for those who gather statistics. Called on the thread
// that runs the model, which waits.
class InputObserver {
 public:
  virtual ~InputObserver() = default;
  // `inputs` of the matrix of that name, one after another: as many rows as the pass has, each as
  // wide as the matrix has inputs.
  virtual void saw(std::string_view tensor, std::span<const float> inputs, std::uint32_t width) = 0;
};

// Rows of one pass over the weights; more cost memory and gain nothing.
inline constexpr std::uint32_t kMostRows = 64;

// Runs tokens through (part of) a model: any number of sequences at once, any number of tokens of
// each, in one pass over the weights. Every row's results are the same bits as if it were alone and
// every token were a pass of its own. Owns scratch; one per running computation, reused; not shared
// between threads. After warm-up no call allocates.
class Runner {
 public:
  Runner(const Model& model, Parallel& parallel);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Each token < vocab. Activation rows become LN0(embedding row), or the row itself
  // where it is stored normed. An error is that of a page which
  // cannot be read.
  Result<void> embed(std::span<const TokenId> tokens, Activation& activation);
  // Layers [first, last) on activation, in place; advances those layers of each sequence's state by
  // its rows. The sequences' rows stand one after another and are all of activation's; no state
  // twice. An error is that of a paged model's page: the states are then as they were, activation
  // is not.
  Result<void> layers(LayerIndex first, LayerIndex last, Activation& activation,
                      std::span<const SequenceRows> sequences);
  Result<void> layers(LayerIndex first, LayerIndex last, Activation& activation, RwkvState& state);
  // Rows [first, first + count) of activation: logits.size() == count * vocab, head(LNout(x)), or,
  // where the artifact says so, the hierarchical head's stand-ins for most.
  // `most`: as Feed has it, of every row.
  Result<void> head(const Activation& activation, std::uint32_t first, std::uint32_t count,
                    std::span<float> logits, std::uint32_t most = 0);

  // All of it, in passes of up to kMostRows rows; state.step goes up by the tokens fed. Up to
  // kMostRows feeds share the passes, earlier ones first; no state twice. After an error, which is
  // that of a page, the states are as they were before the pass that it ended.
  Result<void> feed(std::span<const Feed> feeds);
  // One token of one session.
  Result<void> step(TokenId token, RwkvState& state, std::span<float> logits);

  // Rows of channel-mix value matrices read so far, and rows there were (exact sparsity).
  struct Counters {
    std::uint64_t value_rows_read = 0, value_rows_total = 0;
    // Of the head and what spares reading it, for all logits so far; and had each been dense.
    std::uint64_t head_bytes_read = 0, head_bytes_total = 0;
  };
  const Counters& counters() const;

  // Between passes: copies of states, made for a pass of many sequences, which fewer do not need.
  void give_back();

  // From now on; nullptr: nobody. It outlives the Runner or is taken back.
  void observe(InputObserver* observer);

 private:
  struct Pass;
  Result<void> run(const Pass& pass);
  Result<void> run_layers(LayerIndex first, LayerIndex last, Activation& activation,
                          std::span<const SequenceRows> sequences);
  Result<void> read_logits(const Pass& pass, const Activation& activation);
  void norm_for_head(std::span<const float> x, std::uint32_t row);
  Result<void> multiply_head(std::span<float> logits, std::uint32_t most);

  const Model& model_;
  Parallel& parallel_;
  std::unique_ptr<Workspace> work_;
};

}  // namespace skein
