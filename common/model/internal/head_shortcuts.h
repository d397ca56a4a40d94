// HeadShortcuts: what an artifact has to do without most of its head. Owned by ModelWeights;
// immutable; any thread. And HeadPass: the head of one pass, by them or dense.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "common/model/internal/tensor_reader.h"
#include "common/model/internal/workspace.h"
#include "kernels/ops/parallel.h"

namespace skein {

// 2-bit screening with exact rescoring (METHODS 9.5), by a sketch: w = B^T s + r of every row w of
// head.weight, s in few bits. Bounds: see head_screen.cpp.
struct HeadScreen {
  std::vector<float> basis;                  // (rank, width): B, near orthonormal
  Matrix sketch;                             // (vocab, rank): s; absent: there is no screen
  std::vector<float> inside, beyond, sizes;  // (vocab): |B r|, |r|, max(|w|, |s|), rounded up
  std::uint32_t rank() const { return sketch.cols(); }
};

// RWKV-Lite's hierarchical head: clusters of head.weight's rows, and a head of its own that says
// how likely each is.
struct HeadClusters {
  std::vector<float> weight;         // (clusters, width); empty: there are none
  std::vector<float> bias;           // (clusters)
  std::vector<std::uint32_t> first;  // (clusters + 1): rows of cluster j are first[j] to first[j+1]
  double mass = 0;                   // clusters are looked into until they have this much
  std::uint32_t least = 0, most = 0;
  std::uint32_t count() const { return static_cast<std::uint32_t>(bias.size()); }
};

struct HeadShortcuts {
  std::vector<std::uint32_t> order;  // row i of head.weight is this token's
  HeadScreen screen;
  HeadClusters clusters;
};

// nullptr: the artifact has none. Errc::kCorrupt names the tensor.
Result<std::shared_ptr<const HeadShortcuts>> read_head_shortcuts(TensorReader& tensors,
                                                                 const ModelConfig& config,
                                                                 bool holds_screen);

// Whether so many rows, of each of which the `most` largest logits are wanted (0: all), are
// screened.
bool is_screened(const ModelWeights& weights, std::uint32_t rows, std::uint32_t most);

// The head over the normed rows of `in`. One pass; one thread, which lends others.
class HeadPass {
 public:
  HeadPass(const ModelWeights& weights, HeadScratch& scratch, InputBuffer& in, Parallel& parallel)
      : weights_(weights), scratch_(scratch), in_(in), parallel_(parallel) {}

  // logits: in.rows() times vocab. most: as Feed has it, of every row.
  Result<void> run(std::span<float> logits, std::uint32_t most, Runner::Counters& counters);

 private:
  Result<void> by_shortcuts(std::span<float> logits, std::uint32_t most);
  Result<void> dense(std::span<float> rows);
  void dense_row(std::uint32_t row, Span ordered);
  void put(View ordered, Span logits) const;
  // Whether they were made: the dense head is right, or faster.
  Result<bool> screened(std::span<float> logits, std::uint32_t most);
  Result<bool> screened_row(std::uint32_t row, std::uint32_t most, Span ordered);
  void find_scores(std::uint32_t row);
  Result<void> clustered(std::uint32_t row, bool all_made, Span ordered);
  void look_into(std::span<const float> scores);
  void mark(std::uint32_t first, std::uint32_t last);
  Result<void> make_marked(std::uint32_t row, Span ordered);
  Result<void> make_paged(const Product& product);
  std::uint64_t tiles() const { return (weights_.head.rows() + kTileRows - 1) / kTileRows; }
  std::uint64_t tile_bytes() const;

  const ModelWeights& weights_;
  HeadScratch& scratch_;
  InputBuffer& in_;
  Parallel& parallel_;
  std::uint64_t bytes_ = 0;  // read so far
};

}  // namespace skein
