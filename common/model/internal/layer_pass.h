// LayerPass: the operations that the layers of all versions are made of, over one workspace; and
// the time mixing of each version. Lives for one pass over some layers; one thread, which lends
// itself and others through Parallel.
//
// A pass takes any number of rows: a row is one token of one sequence, the rows of a sequence stand
// together in order. Every row is computed as if it were alone, so its bits do not depend on the
// others.
#pragma once

#include <initializer_list>

#include "common/model/internal/workspace.h"
#include "common/model/weights.h"

namespace skein {

void add_to(Span x, View more);

class LayerPass {
 public:
  // `pages`: of a paged model, which has begun a pass; else nullptr.
  LayerPass(Workspace& workspace, Parallel& threads, PagedTensors* pages,
            std::span<const SequenceRows> sequence_rows);

  std::uint32_t rows() const { return rows_; }
  // Whether every page was to be had. After an error results mean nothing, states included.
  const Result<void>& outcome() const { return outcome_; }

  // body(row) for each row, body(task) for each task, on any of the lent threads.
  template <class Body>
  void for_rows(Body body) {
    for_tasks(rows_, body);
  }
  template <class Body>
  void for_tasks(std::size_t count, Body body) {
    struct Job {
      Body& body;
      void run(std::size_t i) const { body(static_cast<std::uint32_t>(i)); }
    } job{body};
    run_tasks(parallel, count, job);
  }

  // Tells the pages what enters a layer.
  void announce(LayerIndex layer, Rows x);
  // work.normed = norm(x) and work.previous, by the sequences' shift states.
  enum class Half : unsigned char { kTimeMix, kChannelMix };
  void begin(Half half, LayerIndex layer, const Norm& norm, Rows x);
  // The shift states take the last normed rows.
  void end(Half half, LayerIndex layer);

  // Token shift: to = now + mu (previous - now), with codes where `reader` wants them.
  struct Mix {
    View mu;
    InputBuffer& to;
    const Matrix& reader;
  };
  void mix(std::initializer_list<Mix> mixes);

  // y = W x for every row; y is shaped. An empty matrix is passed over.
  struct Multiply {
    const Matrix& w;
    InputBuffer& x;
    RowBuffer& y;
    // In the tasks that make y: its codes (this is y again), or its sum into another.
    InputBuffer* codes = nullptr;
    RowBuffer* sum = nullptr;
  };
  void multiply(std::initializer_list<Multiply> products);
  // The same for one; then body(row, outputs first to first + count) for each row, in the task that
  // made them.
  template <class Body>
  void multiply_then(const Multiply& product, Body body) {
    struct Context {
      Body& body;
      std::uint32_t rows;
    } context{body, rows_};
    const auto run = [](const void* at, std::uint32_t first, std::uint32_t count) {
      const auto& self = *static_cast<const Context*>(at);
      for (std::uint32_t i = 0; i < self.rows; ++i) self.body(i, first, count);
    };
    multiply_one(product, {run, &context});
  }

  // x += value relu(key x_k)^2, times sigmoid(receptance x_r) where there is that gate; reads only
  // the value rows of neurons that fired.
  void channel_mix(const ChannelMix& ffn, Rows x);
  // x += output in_o, whose rows (and codes) are ready.
  void add_output(const Projections& projections, Rows x);

  Workspace& work;
  Parallel& parallel;
  std::span<const SequenceRows> sequences;

 private:
  void multiply_one(const Multiply& product, const AfterTiles& finish);
  struct Finish;
  void multiply_paged(const Matrix& w, Product product);
  void add_paged_neurons(const NeuronMajor& value);
  void mix_columns(std::initializer_list<Mix> mixes, std::uint32_t row, Columns columns);
  void add_neurons(const NeuronProduct& product);
  void add_neurons_of_one(const NeuronProduct& product);
  std::uint32_t rows_;
  PagedTensors* pages_;
  Result<void> outcome_;
};

// y += left (right x) in two products: the first goes where W x does, the second into a later
// round.
LayerPass::Multiply first_factor(const Factors& factors, InputBuffer& x, FactorBuffers& by);
LayerPass::Multiply second_factor(const Factors& factors, const Matrix& w, FactorBuffers& by,
                                  RowBuffer& y);

// One of those that read the same input: of those that want its codes, if any does.
const Matrix& reader_of(std::initializer_list<const Matrix*> readers);
// The pieces of a paged matrix's product, one after another. Errors as PagedTensors'.
Result<void> multiply_pieces(PagedTensors& pages, const Matrix& w, Product product,
                             Parallel& parallel);

// What time mixing reads and changes: the residual stream, and the layer's state of each sequence.
struct TimeMixing {
  LayerIndex layer;
  Rows x;
  Rows v_first;
};
void time_mix(LayerPass& pass, const TimeMix4& att, const TimeMixing& mixing);
void time_mix(LayerPass& pass, const TimeMix5& att, const TimeMixing& mixing);
void time_mix(LayerPass& pass, const TimeMix6& att, const TimeMixing& mixing);
void time_mix(LayerPass& pass, const TimeMix7& att, const TimeMixing& mixing);

// Heads that one task takes, so that tasks begin at whole tiles and groups.
struct HeadTasks {
  HeadTasks(std::uint32_t heads, std::uint32_t size);
  struct Part {
    std::uint32_t head, heads;     // first, count
    std::uint32_t first, outputs;  // the same in channels
  };
  Part part(std::uint32_t task) const;
  std::uint32_t heads() const { return heads_; }
  std::uint32_t count;
  std::uint32_t size;

 private:
  std::uint32_t heads_;
  std::uint32_t each_;
};

// The end of time mixing in RWKV-5 and 6, from work.r, w (decay), k, v and g:
// x += output (group norm of the heads' y, times g).
struct DecayAttention {
  View bonus;
  const Norm& ln_x;
  const Projections& projections;
  float epsilon = kGroupNormEpsilon;
  bool gated = true;
};
void attend(LayerPass& pass, const DecayAttention& att, const TimeMixing& mixing);

}  // namespace skein
