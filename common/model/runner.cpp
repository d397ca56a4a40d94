// The forward pass, one token at a time: the frame that all versions of RWKV share. x_ is the
// normed input of a layer's half.
#include <algorithm>

#include "common/base/check.h"
#include "common/model/internal/layer_pass.h"
#include "common/model/model.h"
#include "kernels/ops/norm.h"

namespace skein {

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
    const TimeMixing mixing = {{x_, att_shift}, activation, state.wkv(LayerIndex(index))};
    std::visit([&](const auto& att) { time_mix(pass, att, mixing); }, layer.att);
    std::ranges::copy(x_, att_shift.begin());

    const Span ffn_shift = state.channel_mix_shift(LayerIndex(index));
    layer_norm(x, layer.ln2.with(kLayerNormEpsilon), x_);
    pass.channel_mix(layer.ffn, {x_, ffn_shift}, x);
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
