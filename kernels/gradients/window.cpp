#include "kernels/gradients/window.h"

#include <algorithm>

#include "kernels/gradients/internal/channel_mix.h"
#include "kernels/gradients/internal/time_mix.h"

namespace skein::gradients {
namespace {

constexpr double kNormEpsilon = 1e-5;

template <class Real>
void check_shape(const Dense<Real>& dense, std::uint32_t rows, std::uint32_t cols) {
  CHECK(dense.rows == rows && dense.cols == cols);
  CHECK(dense.values.size() == std::size_t{rows} * cols);
}

template <class Real>
void check_norm(const Norm<Real>& norm, std::uint32_t width) {
  check_shape(norm.weight, 1, width);
  check_shape(norm.bias, 1, width);
}

template <class Real>
void check_lora(const Lora<Real>& lora, std::uint32_t width, bool with_bias) {
  check_shape(lora.down, lora.down.rows, width);
  check_shape(lora.up, width, lora.down.rows);
  if (with_bias) check_shape(lora.bias, 1, width);
}

template <class Real>
void check_layer(const DenseModel<Real>& model, std::size_t index) {
  const DenseLayer<Real>& layer = model.layers[index];
  const std::uint32_t width = model.width;
  for (const Norm<Real>* norm :
       {&layer.before_time_mix, &layer.before_channel_mix, &layer.heads_norm}) {
    check_norm(*norm, width);
  }
  for (const Dense<Real>* vector :
       {&layer.shift_r, &layer.shift_w, &layer.shift_k, &layer.shift_v, &layer.shift_a,
        &layer.shift_g, &layer.k_k, &layer.k_a, &layer.r_k, &layer.shift_channel}) {
    check_shape(*vector, 1, width);
  }
  for (const Dense<Real>* matrix : {&layer.receptance, &layer.key, &layer.value, &layer.output}) {
    check_shape(*matrix, width, width);
  }
  check_lora(layer.decay, width, true);
  check_lora(layer.rate, width, true);
  check_lora(layer.gate, width, false);
  if (index > 0) check_lora(layer.mix, width, true);
  CHECK(layer.channel_key.rows <= model.ffn_width);
  check_shape(layer.channel_key, layer.channel_key.rows, width);
  check_shape(layer.channel_value, layer.channel_key.rows, width);
  if (!layer.thresholds.values.empty()) check_shape(layer.thresholds, 1, layer.channel_key.rows);
}

}  // namespace

template <class Real>
struct Window<Real>::Tape {
  explicit Tape(const DenseModel<Real>& dense)
      : model(dense), shape{dense.heads, dense.head_size}, layers(dense.layers.size()) {}

  struct Layer {
    TimeMixTape<Real> time_mix;
    ChannelMixTape<Real> channel_mix;
  };

  // Leaves the residual stream after the last layer in x.
  void forward(std::span<const std::uint32_t> inputs, std::span<const Real> states) {
    CHECK(!inputs.empty() && states.size() == model.state_size());
    const auto tokens = static_cast<Eigen::Index>(inputs.size());
    embedded.resize(tokens, model.width);
    for (Eigen::Index t = 0; t < tokens; ++t) {
      const std::uint32_t id = inputs[static_cast<std::size_t>(t)];
      CHECK(id < model.vocab);
      embedded.row(t) = grid(model.embedding).row(id);
    }
    if (model.after_embedding.weight.values.empty()) {
      x = embedded;
    } else {
      norm_forward(embedded, 1, Real(kNormEpsilon), model.after_embedding, norm, x);
    }
    for (std::size_t l = 0; l < layers.size(); ++l) {
      time_mix_forward(model.layers[l], shape, states.data() + l * shape.state_size(), x, v_first,
                       layers[l].time_mix, time_mix);
      channel_mix_forward(model.layers[l], x, layers[l].channel_mix, channel_mix);
    }
  }

  // The summed loss; d_x becomes the derivative by x when wanted.
  double head_and_loss(std::span<const std::uint32_t> targets, bool with_gradient) {
    CHECK(static_cast<Eigen::Index>(targets.size()) == x.rows());
    if (with_gradient) d_x.resize(x.rows(), x.cols());
    double sum = 0;
    for (Eigen::Index first = 0; first < x.rows(); first += kHeadRows) {
      const Eigen::Index count = std::min<Eigen::Index>(kHeadRows, x.rows() - first);
      head_forward(model, x, first, count, head);
      const auto part =
          targets.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
      for (const std::uint32_t target : part) CHECK(target < model.vocab);
      sum += cross_entropy(part, head);
      if (with_gradient) head_backward(model, first, d_x, head);
    }
    return sum;
  }

  void backward(std::span<const Real> states, std::span<Real> gradient, bool to_embedding) {
    d_v_first.setZero(x.rows(), x.cols());
    for (std::size_t l = layers.size(); l-- > 0;) {
      channel_mix_backward(model.layers[l], layers[l].channel_mix, d_x, channel_mix);
      const std::size_t at = l * shape.state_size();
      const TimeMixBack<Real> what{.layer = &model.layers[l],
                                   .shape = shape,
                                   .states = states.data() + at,
                                   .v_first = &v_first,
                                   .to_input = l > 0 || to_embedding};
      time_mix_backward(what, layers[l].time_mix, d_x, d_v_first, gradient.data() + at, time_mix);
    }
  }

  const DenseModel<Real>& model;
  HeadShape shape;
  std::vector<Layer> layers;
  NormTape<Real> norm;
  Grid<Real> embedded, x, v_first, d_x, d_v_first;
  TimeMixScratch<Real> time_mix;
  ChannelMixScratch<Real> channel_mix;
  HeadScratch<Real> head;
};

template <class Real>
Window<Real>::Window(const DenseModel<Real>& model) {
  CHECK(model.heads * model.head_size == model.width && !model.layers.empty());
  check_shape(model.embedding, model.vocab, model.width);
  check_shape(model.head, model.vocab, model.width);
  if (!model.after_embedding.weight.values.empty()) {
    check_norm(model.after_embedding, model.width);
  }
  check_norm(model.before_head, model.width);
  for (std::size_t l = 0; l < model.layers.size(); ++l) check_layer(model, l);
  tape_ = std::make_unique<Tape>(model);
}

template <class Real>
Window<Real>::~Window() = default;

template <class Real>
double Window<Real>::loss(std::span<const std::uint32_t> inputs,
                          std::span<const std::uint32_t> targets, std::span<const Real> states) {
  tape_->forward(inputs, states);
  return tape_->head_and_loss(targets, false);
}

template <class Real>
double Window<Real>::loss_and_gradient(std::span<const std::uint32_t> inputs,
                                       std::span<const std::uint32_t> targets,
                                       std::span<const Real> states, std::span<Real> gradient,
                                       std::span<Real> embedding_gradient) {
  CHECK(gradient.size() == states.size());
  tape_->forward(inputs, states);
  const double sum = tape_->head_and_loss(targets, true);
  tape_->backward(states, gradient, !embedding_gradient.empty());
  if (!embedding_gradient.empty()) {
    CHECK(embedding_gradient.size() == static_cast<std::size_t>(tape_->d_x.size()));
    std::copy_n(tape_->d_x.data(), embedding_gradient.size(), embedding_gradient.data());
  }
  return sum;
}

template <class Real>
void Window<Real>::logits(std::span<const std::uint32_t> inputs, std::span<const Real> states,
                          std::span<Real> out) {
  CHECK(out.size() == inputs.size() * tape_->model.vocab);
  tape_->forward(inputs, states);
  for (Eigen::Index first = 0; first < tape_->x.rows(); first += kHeadRows) {
    const Eigen::Index count = std::min<Eigen::Index>(kHeadRows, tape_->x.rows() - first);
    head_forward(tape_->model, tape_->x, first, count, tape_->head);
    std::copy_n(tape_->head.logits.data(), tape_->head.logits.size(),
                out.data() + static_cast<std::size_t>(first) * tape_->model.vocab);
  }
}

template class Window<float>;
template class Window<double>;

}  // namespace skein::gradients
