#include "common/model/internal/layer_pass.h"

#include <algorithm>

#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"

namespace skein {

void add_to(Span x, View more) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += more[i];
}

void LayerPass::multiply(const Matrix& w, View x, Span y) {
  const MatrixView view = w.view();
  ActivationView input{x, {}, {}};
  if (is_quantized(view.format)) {
    const std::size_t groups = (x.size() + kGroup - 1) / kGroup;
    const Span scales = Span(work.scales).first(groups);
    const std::span<std::int8_t> codes = std::span(work.codes).first(groups * kGroup);
    quantize_activation(x, codes, scales);
    input = {x, codes, scales};
  }
  matvec(view, input, y, parallel);
}

View LayerPass::mix(const Shifted& x, View mu) {
  shift_mix(x.now, x.previous, mu, work.mixed);
  return work.mixed;
}

void LayerPass::lora(const Lora& weights, View x, Elementwise f, Span y) {
  const Span low = Span(work.low).first(weights.down.rows());
  multiply(weights.down, x, low);
  f(low);
  multiply(weights.up, low, y);
  if (!weights.bias.empty()) add_to(y, weights.bias);
}

void LayerPass::channel_mix(const ChannelMix& ffn, const Shifted& shifted, Span x) {
  const Span out = work.out;
  multiply(ffn.key, mix(shifted, ffn.x_k), work.h);
  relu_squared_all(work.h);
  work.counters.value_rows_read +=
      sparse_accumulate(ffn.value.view(), work.h, work.active, out, parallel);
  work.counters.value_rows_total += work.h.size();
  if (!ffn.x_r.empty()) {
    const Span r = work.r;
    multiply(ffn.receptance, mix(shifted, ffn.x_r), r);
    sigmoid_all(r);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] *= r[i];
  }
  add_to(x, out);
}

void attend(LayerPass& pass, const DecayAttention& att, const TimeMixing& layer) {
  Workspace& work = pass.work;
  const std::size_t heads = work.decay_heads.size();
  const std::size_t size = work.r.size() / heads;
  for (std::size_t i = 0; i < heads; ++i) {
    const std::size_t at = i * size;
    work.decay_heads[i] = {.state = &layer.state[at * size],
                           .r = &work.r[at],
                           .w = &work.w[at],
                           .k = &work.k[at],
                           .v = &work.v[at],
                           .u = &att.bonus[at],
                           .y = &work.y[at],
                           .size = static_cast<std::uint32_t>(size)};
  }
  decay_wkv(work.decay_heads, pass.parallel);
  const Span y = work.y;
  group_norm(y, heads, att.ln_x.with(att.epsilon), y);
  if (att.gated) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] *= work.g[i];
  }
  pass.multiply(att.output, y, work.out);
  add_to(layer.activation.x, work.out);
}

Workspace::Workspace(const ModelWeights& weights) {
  const ModelConfig& config = weights.config;
  for (auto* buffer : {&normed, &mixed, &r, &w, &k, &v, &a, &g, &kk, &b, &y, &out}) {
    buffer->resize(config.width);
  }
  std::size_t rank = 0;
  for (const LayerWeights& layer : weights.layers) {
    const auto of = [](const auto& att) { return largest_rank(att); };
    rank = std::max(rank, std::visit(of, layer.att));
  }
  low.resize(rank);
  h.resize(config.ffn_width);
  active.resize(std::max<std::size_t>(config.ffn_width, rank));
  const std::size_t longest = std::max<std::size_t>(config.width, rank);
  scales.resize((longest + kGroup - 1) / kGroup);
  codes.resize(scales.size() * kGroup);
  heads.resize(config.heads);
  decay_heads.resize(config.heads);
  activation.x.resize(config.width);
  activation.v_first.resize(config.width);
}

}  // namespace skein
