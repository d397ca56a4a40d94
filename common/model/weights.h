// ModelWeights: the tensors of an RWKV model under the names of the papers, for the rooms that run
// or differentiate it. Matrices are views into the model's pages, vectors are floats. Immutable;
// any thread. Owned by Model.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "common/artifact/model_config.h"
#include "common/artifact/page_source.h"
#include "common/model/tokenizer.h"
#include "kernels/ops/neurons.h"
#include "kernels/ops/norm.h"

namespace skein {

// A stored matrix (rows outputs, cols inputs); `view` points into `blocks`. A paged one has none: a
// pass asks for them (PagedTensors).
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::string name, const MatrixView& shape)  // without blocks
      : name_(std::move(name)),
        format_(shape.format),
        layout_(shape.layout),
        rows_(shape.rows),
        cols_(shape.cols) {}
  Matrix(Matrix&&) = default;
  Matrix& operator=(Matrix&&) = default;

  std::string_view name() const { return name_; }  // the tensor's
  MatrixView view() const { return {format_, layout_, rows_, cols_, blocks_}; }
  std::uint32_t rows() const { return rows_; }
  std::uint32_t cols() const { return cols_; }
  bool is_absent() const { return rows_ == 0; }
  bool is_quantized() const { return skein::is_quantized(format_); }
  bool is_paged() const { return paged_ != kHeld; }
  std::uint32_t paged() const { return paged_; }  // its index among the manifest's tensors
  void set_paged(std::uint32_t tensor) { paged_ = tensor; }
  void add(const RowBlock& block) { blocks_.push_back(block); }
  // Stored row `row` of a kRows matrix.
  const std::byte* row_data(std::uint32_t row) const;
  // Stored rows [first, first + count) of a kRows matrix, as a matrix over the same pages.
  Matrix rows_of(std::uint32_t first, std::uint32_t count) const;

 private:
  static constexpr std::uint32_t kHeld = ~0U;
  std::string name_;
  std::uint32_t paged_ = kHeld;
  Format format_ = Format::kF32;
  Layout layout_ = Layout::kTiles;
  std::uint32_t rows_ = 0;
  std::uint32_t cols_ = 0;
  std::vector<RowBlock> blocks_;
};

// A matrix of which only the rows behind non-zeros are read: kRows, (neurons, outputs).
struct NeuronMajor {
  Matrix rows;
  std::vector<float> bounds;  // of each row's scales, when it is quantized
  NeuronMatrix view() const { return {rows.view(), bounds}; }
};

// The embedding, which stays with the pages: rows are read as they are asked for, and those of late
// are kept. Any thread.
class EmbeddingTable {
 public:
  static constexpr std::uint32_t kKeptRows = 1024;

  // Of a kRows tensor; both outlive the table.
  EmbeddingTable(PageSource& pages, const TensorEntry& tensor);

  Format format() const { return tensor_.format; }
  std::uint32_t rows() const { return tensor_.rows; }
  std::uint32_t cols() const { return tensor_.cols; }
  // row < rows(), out.size() == cols(). Errors as PageSource::read's.
  Result<void> read_row(std::uint32_t row, std::span<float> out);

 private:
  static constexpr std::uint32_t kWays = 4;  // places a row may be kept in
  struct Kept {
    std::uint32_t row = 0;
    std::uint64_t last_use = 0;  // 0: nothing is kept here
  };
  Result<void> fetch(std::uint32_t row, MutableByteView stored);

  PageSource& pages_;
  const TensorEntry& tensor_;
  const std::size_t row_bytes_;
  std::mutex mutex_;
  std::uint64_t uses_ = 0;
  std::vector<Kept> kept_;              // row r in one of kWays places from (r % sets) * kWays on
  std::unique_ptr<std::byte[]> bytes_;  // untouched, so that rows never kept take no memory
};

struct Norm {
  std::vector<float> weight;
  std::vector<float> bias;
  NormWeights with(float epsilon) const { return {weight, bias, epsilon}; }
};

// bias + up f(down x): w (f = tanh), a and v (identity), g (sigmoid, no bias).
struct Lora {
  Matrix down;              // x1 transposed: (rank, width)
  Matrix up;                // x2 transposed: (width, rank)
  std::vector<float> bias;  // (width); empty for g
};

// left (right x), added to what the matrix of the same letter gives; absent in most models. The
// matrix itself may be absent: then this is all of it.
struct Factors {
  Matrix right;  // (rank, width)
  Matrix left;   // (width, rank)
};

// Token-shift mixes are told as RWKV-6 and 7 tell them: x + mix * (previous - x). (Versions 4 and 5
// store 1 - mix.)
struct Projections {
  Matrix receptance, key, value, output;  // (width, width); absent where factors stand for it
  Factors receptance_factors, key_factors, value_factors, output_factors;

  bool reads_codes_of_heads() const {
    return output.is_quantized() || output_factors.right.is_quantized();
  }
};

struct TimeMix4 : Projections {
  std::vector<float> x_r, x_k, x_v;  // (width)
  std::vector<float> decay;          // (width): the logarithm of what is kept, below zero
  std::vector<float> first;          // (width): added to the key of the token at hand
};

// 5.1 has one decay and bonus a head; they are told for every channel here.
struct TimeMix5 : Projections {
  std::vector<float> x_r, x_k, x_v, x_g;  // (width); x_g is empty without a gate
  std::vector<float> decay;               // (width): the share that is kept
  std::vector<float> bonus;               // (width)
  Matrix gate;                            // (width, width); 5.1 may lack it
  Factors gate_factors;
  Norm ln_x;  // group norm over heads
};

// The mixes themselves depend on the token: mix_i + up_i tanh(down x_x), i over w, k, v, r, g.
struct TimeMix6 : Projections {
  static constexpr std::size_t kMixes = 5;
  std::vector<float> x_x;          // (width)
  Matrix mix_down;                 // (5 rank, width)
  std::vector<float> mix[kMixes];  // (width)
  NeuronMajor mix_up[kMixes];      // (rank, width), as the checkpoint has them
  Lora decay;                      // its logarithm's logarithm, negated
  std::vector<float> bonus;        // (width)
  Matrix gate;                     // (width, width)
  Factors gate_factors;
  Norm ln_x;  // group norm over heads
};

struct TimeMix7 : Projections {
  std::vector<float> x_r, x_w, x_k, x_v, x_a, x_g;  // (width) token-shift mixes
  Lora w, a, v, g;                                  // v is absent (rank 0) in layer 0
  std::vector<float> k_k, k_a, r_k;                 // (width)
  Norm ln_x;                                        // group norm over heads
  std::vector<float> time_state;                    // (heads, size, size), or empty = zero
};

// As many neurons as the layer has: ffn_width at most.
struct ChannelMix {
  std::vector<float> x_k;  // (width)
  Matrix key;              // (neurons, width)
  // The value matrix, one of the two: neuron-major, of which only the rows of neurons that fired
  // are read; or in tiles like any other, for models whose neurons are seldom silent.
  NeuronMajor value;   // (neurons, width)
  Matrix dense_value;  // (width, neurons)
  // Neurons below theirs are silent; empty: only exact zeros are (neurons).
  std::vector<float> thresholds;
  // The gate of versions 4 to 6; empty in RWKV-7.
  std::vector<float> x_r;  // (width)
  Matrix receptance;       // (width, width)
};

struct LayerWeights {
  Norm ln1, ln2;
  std::variant<TimeMix7, TimeMix6, TimeMix5, TimeMix4> att;  // all layers of a model alike
  ChannelMix ffn;
};

struct HeadShortcuts;  // common/model/internal/head_shortcuts.h
struct ModelWeights;
// Row i of head.weight is the token's of that number; empty: row i is token i's.
std::span<const std::uint32_t> head_order(const ModelWeights& weights);

struct ModelWeights {
  ModelConfig config;
  std::unique_ptr<EmbeddingTable> embedding;  // (vocab, width)
  Norm ln0;                                   // empty: the embedding's rows are normed already
  std::vector<LayerWeights> layers;
  Norm ln_out;
  Matrix head;  // (vocab, width)
  // How to do without most of it, and the order of its rows; nullptr: neither.
  std::shared_ptr<const HeadShortcuts> head_shortcuts;
  PagedTensors* paged = nullptr;  // where paged matrices come from
  std::uint32_t most_rows = ~0U;  // of a pass, as the page source has it
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string chat_template;
};

inline constexpr float kLayerNormEpsilon = 1e-5F;
inline constexpr float kGroupNormEpsilon = 64e-5F;

}  // namespace skein
