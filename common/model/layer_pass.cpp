#include "common/model/internal/layer_pass.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/ops/activations.h"
#include "kernels/ops/neurons.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/wkv.h"

namespace skein {

void add_to(Span x, View more) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += more[i];
}

LayerPass::LayerPass(Workspace& workspace, Parallel& threads, PagedTensors* pages,
                     std::span<const SequenceRows> sequence_rows)
    : work(workspace), parallel(threads), sequences(sequence_rows), rows_(0), pages_(pages) {
  for (const SequenceRows& sequence : sequences) rows_ += sequence.rows;
}

namespace {

constexpr std::uint32_t kMixColumns = 256;  // a task's share of a single row

Span shift_state(RwkvState& state, LayerPass::Half half, LayerIndex layer) {
  return half == LayerPass::Half::kTimeMix ? state.time_mix_shift(layer)
                                           : state.channel_mix_shift(layer);
}

}  // namespace

void LayerPass::announce(LayerIndex layer, Rows x) {
  CHECK(pages_ != nullptr);
  work.previous.assign(rows_, nullptr);
  std::uint32_t row = 0;
  for (const SequenceRows& sequence : sequences) {
    work.previous[row] = sequence.state->channel_mix_shift(layer).data();
    row += sequence.rows;
  }
  pages_->layer_begins({layer.value(), x.all, work.previous});
}

void LayerPass::begin(Half half, LayerIndex layer, const Norm& norm, Rows x) {
  work.normed.shape(rows_, x.width);
  for_rows([&](std::uint32_t i) {
    layer_norm(x.row(i), norm.with(kLayerNormEpsilon), work.normed.row(i));
  });
  work.previous.resize(rows_);
  std::uint32_t row = 0;
  for (const SequenceRows& sequence : sequences) {
    work.previous[row] = shift_state(*sequence.state, half, layer).data();
    for (std::uint32_t i = 1; i < sequence.rows; ++i) {
      work.previous[row + i] = work.normed.row(row + i - 1).data();
    }
    row += sequence.rows;
  }
}

void LayerPass::end(Half half, LayerIndex layer) {
  std::uint32_t row = 0;
  for (const SequenceRows& sequence : sequences) {
    row += sequence.rows;
    std::ranges::copy(work.normed.row(row - 1), shift_state(*sequence.state, half, layer).begin());
  }
}

void LayerPass::mix_columns(std::initializer_list<Mix> mixes, std::uint32_t row, Columns columns) {
  const auto of = [&](auto&& all) { return all.subspan(columns.first, columns.count); };
  const View previous(work.previous[row], work.normed.width());
  for (const Mix& mix : mixes) {
    shift_mix(of(work.normed.row(row)), of(previous), of(mix.mu), of(mix.to.row(row)));
    if (mix.reader.is_quantized()) mix.to.quantize(row, columns.first, columns.count);
  }
}

// A single row is cut into columns, so that all threads have something to do.
void LayerPass::mix(std::initializer_list<Mix> mixes) {
  const std::uint32_t width = work.normed.width();
  for (const Mix& mix : mixes) mix.to.shape(rows_, width);
  if (rows_ > 1 || width < 2 * kMixColumns || mixes.size() < 3) {
    for_rows([&](std::uint32_t i) { mix_columns(mixes, i, {0, width}); });
    return;
  }
  for_tasks((width + kMixColumns - 1) / kMixColumns, [&](std::uint32_t task) {
    const std::uint32_t first = task * kMixColumns;
    mix_columns(mixes, 0, {first, std::min(kMixColumns, width - first)});
  });
}

// Outputs [first, first + count) of every row of a product are there.
struct LayerPass::Finish {
  const Multiply* product = nullptr;
  std::uint32_t rows = 0;

  bool is_needed() const { return product->codes != nullptr || product->sum != nullptr; }
  static void run(const void* at, std::uint32_t first, std::uint32_t count) {
    const Finish& self = *static_cast<const Finish*>(at);
    for (std::uint32_t i = 0; i < self.rows; ++i) {
      if (self.product->codes != nullptr) self.product->codes->quantize(i, first, count);
      if (self.product->sum == nullptr) continue;
      add_to(self.product->sum->row(i).subspan(first, count),
             self.product->y.row(i).subspan(first, count));
    }
  }
};

void LayerPass::multiply(std::initializer_list<Multiply> products) {
  CHECK(products.size() <= kMostProducts);
  std::array<Product, kMostProducts> all;
  std::array<Finish, kMostProducts> finishes;
  std::size_t count = 0;
  bool paged = false;
  for (const Multiply& product : products) {
    if (product.w.is_absent()) continue;
    work.show(product.w, product.x);
    product.y.shape(rows_, product.w.rows());
    if (product.codes != nullptr) product.codes->make_room_for_codes();
    paged = paged || product.w.is_paged();
    if (product.w.is_paged()) continue;
    all[count] = {product.w.view(), product.x.view(), product.y.row(0).data()};
    finishes[count] = {&product, rows_};
    if (finishes[count].is_needed()) all[count].finish = {Finish::run, &finishes[count]};
    ++count;
  }
  if (count != 0) matmul(std::span(all).first(count), parallel);
  if (!paged) return;
  for (const Multiply& product : products) {
    if (product.w.is_absent() || !product.w.is_paged()) continue;
    Finish finish{&product, rows_};
    Product whole = {product.w.view(), product.x.view(), product.y.row(0).data()};
    if (finish.is_needed()) whole.finish = {Finish::run, &finish};
    multiply_paged(product.w, whole);
  }
}

LayerPass::Multiply first_factor(const Factors& factors, InputBuffer& x, FactorBuffers& by) {
  return {factors.right, x, by.low, factors.left.is_quantized() ? &by.low : nullptr};
}

LayerPass::Multiply second_factor(const Factors& factors, const Matrix& w, FactorBuffers& by,
                                  RowBuffer& y) {
  if (w.is_absent()) return {factors.left, by.low, y};
  return {factors.left, by.low, by.more, nullptr, &y};
}

const Matrix& reader_of(std::initializer_list<const Matrix*> readers) {
  for (const Matrix* reader : readers) {
    if (reader->is_quantized()) return *reader;
  }
  return **readers.begin();
}

void LayerPass::multiply_one(const Multiply& product, const AfterTiles& finish) {
  work.show(product.w, product.x);
  product.y.shape(rows_, product.w.rows());
  const Product one = {product.w.view(), product.x.view(), product.y.row(0).data(), finish};
  if (product.w.is_paged()) return multiply_paged(product.w, one);
  matmul(std::span(&one, 1), parallel);
}

void LayerPass::multiply_paged(const Matrix& w, Product product) {
  CHECK(pages_ != nullptr);
  if (outcome_) outcome_ = multiply_pieces(*pages_, w, product, parallel);
}

// work.out = value h, as the rows come.
void LayerPass::add_paged_neurons(const NeuronMajor& value) {
  CHECK(pages_ != nullptr);
  const std::uint32_t neurons = value.rows.rows();
  work.wanted.assign(neurons, 0);
  for (std::uint32_t i = 0; i < rows_; ++i) {
    const View h = work.h.row(i);
    for (std::uint32_t j = 0; j < neurons; ++j) work.wanted[j] |= h[j] != 0 ? 1 : 0;
  }
  if (!outcome_) return;
  pages_->want(value.rows.paged(), work.wanted);
  NeuronProduct product = {value.view(), work.h.row(0).data(), work.out.row(0).data(), rows_};
  for (std::uint32_t first = 0; first < neurons;) {
    const auto rows = pages_->neurons_from(first);
    if (!rows) return (void)(outcome_ = tl::unexpected<Error>(rows.error()));
    CHECK(rows->first == first && rows->count > 0);
    product.matrix.at = rows->at;
    product.first_block = first / kNeuronBlock;
    product.blocks = neuron_blocks_of(rows->count);
    rows_ == 1 ? add_neurons_of_one(product) : add_neurons(product);
    first += rows->count;
  }
}

// work.out = value h, or what some blocks add to it.
void LayerPass::add_neurons(const NeuronProduct& product) {
  work.counters.value_rows_read += neuron_matmul(product, parallel);
}

// The same for a single row, whose tasks are blocks of neurons: long runs of memory.
void LayerPass::add_neurons_of_one(const NeuronProduct& product) {
  const MatrixView& w = product.matrix.w;
  const std::uint32_t width = w.cols;
  const std::uint32_t first = product.first_block;
  const std::uint32_t blocks = std::min(product.blocks, neuron_blocks_of(w.rows) - first);
  if (work.shares.size() < std::size_t{blocks} * width) {
    work.shares.resize(std::size_t{blocks} * width);
  }
  const View h = work.h.row(0);
  for_tasks(blocks, [&](std::uint32_t block) {
    float* const share = &work.shares[std::size_t{block} * width];
    std::fill_n(share, width, 0.0F);
    add_neuron_block(product.matrix, first + block, h, share);
  });
  const Span out = work.out.row(0);
  if (first == 0) std::ranges::fill(out, 0.0F);
  for (std::uint32_t block = 0; block < blocks; ++block) {
    add_to(out, View(work.shares).subspan(std::size_t{block} * width, width));
  }
  const std::size_t from = std::size_t{first} * kNeuronBlock;
  const View part = h.subspan(from, std::min(h.size() - from, std::size_t{blocks} * kNeuronBlock));
  work.counters.value_rows_read +=
      part.size() - static_cast<std::uint64_t>(std::ranges::count(part, 0.0F));
}

void LayerPass::channel_mix(const ChannelMix& ffn, Rows x) {
  work.out.shape(rows_, x.width);
  const bool gated = !ffn.receptance.is_absent();
  if (gated) {
    mix({{ffn.x_k, work.in_k, ffn.key}, {ffn.x_r, work.in_r, ffn.receptance}});
    multiply({{ffn.receptance, work.in_r, work.r}});
  } else {
    mix({{ffn.x_k, work.in_k, ffn.key}});
  }
  const bool dense = !ffn.dense_value.is_absent();
  const bool codes = dense && ffn.dense_value.is_quantized();
  work.h.shape(rows_, ffn.key.rows());
  multiply_then({ffn.key, work.in_k, work.h},
                [&](std::uint32_t row, std::uint32_t first, std::uint32_t count) {
                  const Span h = work.h.row(row).subspan(first, count);
                  relu_squared_all(h);
                  if (!ffn.thresholds.empty()) {
                    silence_below(View(ffn.thresholds).subspan(first, count), h);
                  }
                  if (codes) work.h.quantize(row, first, count);
                });
  const std::uint64_t neurons = std::uint64_t{rows_} * work.h.width();
  work.counters.value_rows_total += neurons;
  if (dense) {
    multiply({{ffn.dense_value, work.h, work.out}});
    work.counters.value_rows_read += neurons;
  } else {
    work.show(ffn.value.rows, work.h);
    if (ffn.value.rows.is_paged()) {
      add_paged_neurons(ffn.value);
    } else {
      const NeuronProduct product = {ffn.value.view(), work.h.row(0).data(), work.out.row(0).data(),
                                     rows_};
      rows_ == 1 ? add_neurons_of_one(product) : add_neurons(product);
    }
  }
  for_rows([&](std::uint32_t i) {
    const Span out = work.out.row(i);
    if (gated) {
      const Span r = work.r.row(i);
      sigmoid_all(r);
      for (std::size_t j = 0; j < out.size(); ++j) out[j] *= r[j];
    }
    add_to(x.row(i), out);
  });
}

void LayerPass::add_output(const Projections& projections, Rows x) {
  const Factors& factors = projections.output_factors;
  multiply(
      {{projections.output, work.in_o, work.out}, first_factor(factors, work.in_o, work.by_o)});
  multiply({second_factor(factors, projections.output, work.by_o, work.out)});
  for_rows([&](std::uint32_t i) { add_to(x.row(i), work.out.row(i)); });
}

HeadTasks::HeadTasks(std::uint32_t heads, std::uint32_t head_size)
    : size(head_size), heads_(heads), each_(kGroup / std::gcd(kGroup, head_size)) {
  count = (heads_ + each_ - 1) / each_;
}

HeadTasks::Part HeadTasks::part(std::uint32_t task) const {
  const std::uint32_t head = task * each_;
  const std::uint32_t heads = std::min(each_, heads_ - head);
  return {head, heads, head * size, heads * size};
}

namespace {

struct DecayHeads {
  LayerPass& pass;
  const DecayAttention& att;
  LayerIndex layer;
  HeadTasks tasks;

  void run(std::uint32_t task) const {
    const HeadTasks::Part part = tasks.part(task);
    for (std::uint32_t head = part.head; head < part.head + part.heads; ++head) {
      std::uint32_t row = 0;
      for (const SequenceRows& sequence : pass.sequences) {
        for (std::uint32_t i = 0; i < sequence.rows; ++i) {
          update(*sequence.state, head, row + i);
        }
        row += sequence.rows;
      }
    }
    for (std::uint32_t i = 0; i < pass.rows(); ++i) finish(part, i);
  }

  void update(RwkvState& state, std::uint32_t head, std::uint32_t row) const {
    Workspace& work = pass.work;
    const std::size_t at = std::size_t{head} * tasks.size;
    decay_wkv({.state = &state.wkv(layer)[at * tasks.size],
               .r = &work.r.row(row)[at],
               .w = &work.w.row(row)[at],
               .k = &work.k.row(row)[at],
               .v = &work.v.row(row)[at],
               .u = &att.bonus[at],
               .y = &work.in_o.row(row)[at],
               .size = tasks.size});
  }

  void finish(const HeadTasks::Part& part, std::uint32_t row) const {
    const auto of = [&](auto&& all) { return all.subspan(part.first, part.outputs); };
    const Span y = of(pass.work.in_o.row(row));
    const NormWeights norm = {of(View(att.ln_x.weight)), of(View(att.ln_x.bias)), att.epsilon};
    group_norm(y, part.heads, norm, y);
    if (att.gated) {
      const Span g = of(pass.work.g.row(row));
      for (std::size_t i = 0; i < y.size(); ++i) y[i] *= g[i];
    }
    if (att.projections.reads_codes_of_heads()) {
      pass.work.in_o.quantize(row, part.first, part.outputs);
    }
  }
};

}  // namespace

void attend(LayerPass& pass, const DecayAttention& att, const TimeMixing& mixing) {
  const ModelConfig& config = pass.sequences[0].state->config();
  pass.work.in_o.shape(pass.rows(), config.width);
  const DecayHeads heads = {pass, att, mixing.layer, {config.heads, config.head_size}};
  pass.for_tasks(heads.tasks.count, [&](std::uint32_t task) { heads.run(task); });
  pass.add_output(att.projections, mixing.x);
}

}  // namespace skein
