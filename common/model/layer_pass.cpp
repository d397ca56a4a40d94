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

LayerPass::LayerPass(Workspace& workspace, Parallel& threads,
                     std::span<const SequenceRows> sequence_rows)
    : work(workspace), parallel(threads), sequences(sequence_rows), rows_(0) {
  for (const SequenceRows& sequence : sequences) rows_ += sequence.rows;
}

namespace {

Span shift_state(RwkvState& state, LayerPass::Half half, LayerIndex layer) {
  return half == LayerPass::Half::kTimeMix ? state.time_mix_shift(layer)
                                           : state.channel_mix_shift(layer);
}

}  // namespace

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

void LayerPass::mix(std::initializer_list<Mix> mixes) {
  const std::uint32_t width = work.normed.width();
  for (const Mix& mix : mixes) mix.to.shape(rows_, width);
  for_rows([&](std::uint32_t i) {
    for (const Mix& mix : mixes) {
      shift_mix(work.normed.row(i), View(work.previous[i], width), mix.mu, mix.to.row(i));
      if (mix.reader.is_quantized()) mix.to.quantize(i);
    }
  });
}

void LayerPass::multiply(std::initializer_list<Multiply> products) {
  constexpr std::size_t kMost = 8;
  CHECK(products.size() <= kMost);
  std::array<Product, kMost> all;
  std::size_t count = 0;
  for (const Multiply& product : products) {
    if (product.w.is_absent()) continue;
    product.y.shape(rows_, product.w.rows());
    all[count++] = {product.w.view(), product.x.view(), product.y.row(0).data()};
  }
  matmul(std::span(all).first(count), parallel);
}

void LayerPass::multiply_part(const Multiply& product, std::uint32_t first, std::uint32_t count) {
  CHECK(first % kTileRows == 0 && product.y.rows() == rows_);
  const Product whole = {product.w.view(), product.x.view(), product.y.row(0).data()};
  multiply_tiles(whole, first / kTileRows, (count + kTileRows - 1) / kTileRows);
}

// work.out = value relu(key x)^2, one round of tasks for each matrix.
void LayerPass::fire_neurons(const ChannelMix& ffn) {
  multiply({{ffn.key, work.in_k, work.h}});
  for_rows([&](std::uint32_t i) { relu_squared_all(work.h.row(i)); });
  const NeuronProduct product = {ffn.value.view(), work.h.row(0).data(), work.out.row(0).data(),
                                 rows_};
  work.counters.value_rows_read += neuron_matmul(product, parallel);
}

// The same for a single row, in one round: a task takes a block of neurons through both matrices,
// fetching the value rows it will need while it still multiplies keys.
void LayerPass::fire_neurons_of_one(const ChannelMix& ffn) {
  const std::uint32_t width = ffn.value.cols();
  const std::uint32_t neurons = ffn.value.rows();
  const std::uint32_t blocks = neuron_blocks_of(neurons);
  work.h.shape(1, neurons);
  if (work.shares.size() < std::size_t{blocks} * width) {
    work.shares.resize(std::size_t{blocks} * width);
  }
  const MatrixView value = ffn.value.view();
  for_tasks(blocks, [&](std::uint32_t block) {
    const std::uint32_t first = block * kNeuronBlock;
    const std::uint32_t count = std::min(kNeuronBlock, neurons - first);
    const Span h = work.h.row(0).subspan(first, count);
    for (std::uint32_t done = 0; done < count; done += kTileRows) {
      const std::uint32_t some = std::min(kTileRows, count - done);
      multiply_part({ffn.key, work.in_k, work.h}, first + done, some);
      const Span fired = h.subspan(done, some);
      relu_squared_all(fired);
      prefetch_neurons(value, first + done, fired);
    }
    float* const share = &work.shares[std::size_t{block} * width];
    std::fill_n(share, width, 0.0F);
    add_neuron_block(value, block, h, {0, width}, share);
  });
  const Span out = work.out.row(0);
  std::ranges::fill(out, 0.0F);
  for (std::uint32_t block = 0; block < blocks; ++block) {
    add_to(out, View(work.shares).subspan(std::size_t{block} * width, width));
  }
  const Span h = work.h.row(0);
  work.counters.value_rows_read +=
      h.size() - static_cast<std::uint64_t>(std::ranges::count(h, 0.0F));
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
  rows_ == 1 ? fire_neurons_of_one(ffn) : fire_neurons(ffn);
  work.counters.value_rows_total += std::uint64_t{rows_} * ffn.value.rows();
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

void LayerPass::add_output(const Matrix& output, Rows x) {
  multiply({{output, work.in_o, work.out}});
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
    if (att.output.is_quantized()) pass.work.in_o.quantize(row, part.first, part.outputs);
  }
};

}  // namespace

void attend(LayerPass& pass, const DecayAttention& att, const TimeMixing& mixing) {
  const ModelConfig& config = pass.sequences[0].state->config();
  pass.work.in_o.shape(pass.rows(), config.width);
  const DecayHeads heads = {pass, att, mixing.layer, {config.heads, config.head_size}};
  pass.for_tasks(heads.tasks.count, [&](std::uint32_t task) { heads.run(task); });
  pass.add_output(att.output, mixing.x);
}

}  // namespace skein
