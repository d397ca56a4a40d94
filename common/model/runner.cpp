// The forward pass of RWKV-7 "Goose" (Peng et al. 2025), one token at a time. Names follow the
// paper and the official weights: x_ is the normed input, S the state of a head.
#include <algorithm>

#include "common/base/check.h"
#include "common/model/internal/workspace.h"
#include "common/model/model.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"

namespace skein {
namespace {

using Span = std::span<float>;
using View = std::span<const float>;

std::size_t largest_rank(const ModelWeights& weights) {
  std::size_t rank = 0;
  for (const LayerWeights& layer : weights.layers) {
    const TimeMix& att = layer.att;
    for (const Lora* lora : {&att.w, &att.a, &att.v, &att.g}) {
      rank = std::max<std::size_t>(rank, lora->down.rows());
    }
  }
  return rank;
}

// One pass over one layer: the weights, the scratch, the threads.
class LayerPass {
 public:
  LayerPass(Workspace& work, Parallel& parallel) : work_(work), parallel_(parallel) {}

  void time_mix(const TimeMix& att, View x_, View previous, Activation& activation, Span state);
  void channel_mix(const ChannelMix& ffn, View x_, View previous, Span x);
  void multiply(const Matrix& w, View x, Span y);

 private:
  View mix(View x_, View previous, View mu);
  template <class Nonlinearity>
  void lora(const Lora& weights, View x, Nonlinearity f, Span y);
  void mix_in_first_value(const Lora& v, View x_v, Activation& activation);
  void prepare_keys(const TimeMix& att);
  void update_state(Span state);
  void add_bonus(View r_k);

  Workspace& work_;
  Parallel& parallel_;
};

void add_to(Span x, View more) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += more[i];
}

// y = W x, with x in int8 groups when W is.
void LayerPass::multiply(const Matrix& w, View x, Span y) {
  const MatrixView view = w.view();
  ActivationView input{x, {}, {}};
  if (is_quantized(view.format)) {
    const std::size_t groups = (x.size() + kGroup - 1) / kGroup;
    const Span scales = Span(work_.scales).first(groups);
    const std::span<std::int8_t> codes = std::span(work_.codes).first(groups * kGroup);
    quantize_activation(x, codes, scales);
    input = {x, codes, scales};
  }
  matvec(view, input, y, parallel_);
}

View LayerPass::mix(View x_, View previous, View mu) {
  shift_mix(x_, previous, mu, work_.mixed);
  return work_.mixed;
}

// y = bias + up f(down x)
template <class Nonlinearity>
void LayerPass::lora(const Lora& weights, View x, Nonlinearity f, Span y) {
  const Span low = Span(work_.low).first(weights.down.rows());
  multiply(weights.down, x, low);
  f(low);
  multiply(weights.up, low, y);
  if (!weights.bias.empty()) add_to(y, weights.bias);
}

void LayerPass::time_mix(const TimeMix& att, View x_, View previous, Activation& activation,
                         Span state) {
  const Span r = work_.r, w = work_.w, k = work_.k, v = work_.v, a = work_.a, g = work_.g,
             y = work_.y, out = work_.out;
  const auto identity = [](Span) {};
  multiply(att.receptance, mix(x_, previous, att.x_r), r);
  lora(att.w, mix(x_, previous, att.x_w), tanh_all, w);
  decay_all(w);  // exp(-exp(-0.5) sigmoid(.))
  multiply(att.key, mix(x_, previous, att.x_k), k);
  const View x_v = mix(x_, previous, att.x_v);
  multiply(att.value, x_v, v);
  mix_in_first_value(att.v, x_v, activation);
  lora(att.a, mix(x_, previous, att.x_a), identity, a);
  sigmoid_all(a);
  lora(att.g, mix(x_, previous, att.x_g), sigmoid_all, g);
  prepare_keys(att);
  update_state(state);  // y = S r
  group_norm(y, work_.heads.size(), att.ln_x.with(kGroupNormEpsilon), y);
  add_bonus(att.r_k);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] *= g[i];
  multiply(att.output, y, out);
  add_to(activation.x, out);
}

// v += (v_first - v) sigmoid(lora(x_v)); layer 0, which has no v-LoRA, sets v_first.
void LayerPass::mix_in_first_value(const Lora& lora_v, View x_v, Activation& activation) {
  const Span v = work_.v;
  if (lora_v.down.rows() == 0) {
    std::ranges::copy(v, activation.v_first.begin());
    return;
  }
  const Span gate = work_.out;
  lora(lora_v, x_v, [](Span) {}, gate);
  sigmoid_all(gate);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] += (activation.v_first[i] - v[i]) * gate[i];
}

// kk = normalize(k k_k);  b = kk a;  k = k + k (a - 1) k_a
void LayerPass::prepare_keys(const TimeMix& att) {
  const Span k = work_.k, kk = work_.kk, a = work_.a, b = work_.b;
  for (std::size_t i = 0; i < k.size(); ++i) kk[i] = k[i] * att.k_k[i];
  normalize_groups(kk, work_.heads.size());
  for (std::size_t i = 0; i < k.size(); ++i) {
    b[i] = kk[i] * a[i];
    k[i] += k[i] * (a[i] - 1.0F) * att.k_a[i];
  }
}

void LayerPass::update_state(Span state) {
  const std::size_t size = work_.r.size() / work_.heads.size();
  for (std::size_t i = 0; i < work_.heads.size(); ++i) {
    const std::size_t at = i * size;
    work_.heads[i] = {.state = &state[at * size],
                      .r = &work_.r[at],
                      .w = &work_.w[at],
                      .k = &work_.k[at],
                      .v = &work_.v[at],
                      .kk = &work_.kk[at],
                      .b = &work_.b[at],
                      .y = &work_.y[at],
                      .size = static_cast<std::uint32_t>(size)};
  }
  wkv(work_.heads, parallel_);
}

// y += (sum over the head of r k r_k) v
void LayerPass::add_bonus(View r_k) {
  const std::size_t size = work_.r.size() / work_.heads.size();
  const Span rk = work_.out;
  for (std::size_t i = 0; i < rk.size(); ++i) rk[i] = work_.r[i] * work_.k[i];
  for (std::size_t first = 0; first < rk.size(); first += size) {
    const float bonus = ordered_dot(rk.subspan(first, size), r_k.subspan(first, size));
    for (std::size_t i = first; i < first + size; ++i) work_.y[i] += bonus * work_.v[i];
  }
}

// x += value relu(key x_k)^2, reading only the value rows of neurons that fired
void LayerPass::channel_mix(const ChannelMix& ffn, View x_, View previous, Span x) {
  multiply(ffn.key, mix(x_, previous, ffn.x_k), work_.h);
  relu_squared_all(work_.h);
  work_.counters.value_rows_read +=
      sparse_accumulate(ffn.value.view(), work_.h, work_.active, work_.out, parallel_);
  work_.counters.value_rows_total += work_.h.size();
  add_to(x, work_.out);
}

}  // namespace

Workspace::Workspace(const ModelWeights& weights) {
  const ModelConfig& config = weights.config;
  for (auto* buffer : {&normed, &mixed, &r, &w, &k, &v, &a, &g, &kk, &b, &y, &out}) {
    buffer->resize(config.width);
  }
  low.resize(largest_rank(weights));
  h.resize(config.ffn_width);
  active.resize(config.ffn_width);
  const std::size_t longest = std::max<std::size_t>(config.width, low.size());
  scales.resize((longest + kGroup - 1) / kGroup);
  codes.resize(scales.size() * kGroup);
  heads.resize(config.heads);
  activation.x.resize(config.width);
  activation.v_first.resize(config.width);
}

Runner::Runner(const Model& model, Parallel& parallel)
    : model_(model), parallel_(parallel), work_(std::make_unique<Workspace>(model.weights())) {}
Runner::~Runner() = default;

void Runner::embed(TokenId token, Activation& activation) {
  const ModelWeights& weights = model_.weights();
  CHECK(token < weights.config.vocab);
  activation.x.resize(weights.config.width);
  activation.v_first.resize(weights.config.width);
  read_row(weights.embedding.view().format, weights.config.width, weights.embedding.row_data(token),
           work_->out);
  layer_norm(work_->out, weights.ln0.with(kLayerNormEpsilon), activation.x);
}

void Runner::layers(LayerIndex first, LayerIndex last, Activation& activation, RwkvState& state) {
  const ModelWeights& weights = model_.weights();
  CHECK(first <= last && last.value() <= weights.config.layers);
  CHECK(state.config() == weights.config);
  CHECK(activation.x.size() == weights.config.width);
  CHECK(activation.v_first.size() == weights.config.width);
  LayerPass pass(*work_, parallel_);
  const Span x = activation.x;
  const Span x_ = work_->normed;
  for (std::uint32_t index = first.value(); index < last.value(); ++index) {
    const LayerWeights& layer = weights.layers[index];
    const Span att_shift = state.time_mix_shift(LayerIndex(index));
    layer_norm(x, layer.ln1.with(kLayerNormEpsilon), x_);
    pass.time_mix(layer.att, x_, att_shift, activation, state.wkv(LayerIndex(index)));
    std::ranges::copy(x_, att_shift.begin());

    const Span ffn_shift = state.channel_mix_shift(LayerIndex(index));
    layer_norm(x, layer.ln2.with(kLayerNormEpsilon), x_);
    pass.channel_mix(layer.ffn, x_, ffn_shift, x);
    std::ranges::copy(x_, ffn_shift.begin());
  }
}

void Runner::head(const Activation& activation, std::span<float> logits) {
  const ModelWeights& weights = model_.weights();
  CHECK(logits.size() == weights.config.vocab);
  layer_norm(activation.x, weights.ln_out.with(kLayerNormEpsilon), work_->out);
  LayerPass(*work_, parallel_).multiply(weights.head, work_->out, logits);
}

void Runner::step(TokenId token, RwkvState& state, std::span<float> logits) {
  embed(token, work_->activation);
  layers(LayerIndex(0), LayerIndex(model_.config().layers), work_->activation, state);
  if (!logits.empty()) head(work_->activation, logits);
  state.step = Step(state.step.value() + 1);
}

const Runner::Counters& Runner::counters() const { return work_->counters; }

}  // namespace skein
