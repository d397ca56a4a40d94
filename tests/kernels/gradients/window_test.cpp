#include "kernels/gradients/window.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/random_dense_model.h"

namespace skein {
namespace {

using gradients::DenseModel;
using gradients::Window;

struct Case {
  DenseModel<double> model;
  std::vector<std::uint32_t> inputs, targets;
  std::vector<double> states;
};

Case make_case(test::DenseShape shape, std::uint32_t tokens, std::uint64_t seed) {
  test::RandomDense<double> random(shape, seed);
  Case made{random.make(), {}, {}, {}};
  for (std::uint32_t t = 0; t < tokens; ++t) {
    made.inputs.push_back(t == 0 ? 0 : (t * 7 + 3) % shape.vocab);
    made.targets.push_back((t * 5 + 11) % shape.vocab);
  }
  made.states = random.dense(1, static_cast<std::uint32_t>(made.model.state_size()), 0.3).values;
  return made;
}

// (loss(+step) - loss(-step)) / 2 step
double central(Case& c, Window<double>& window, double& value) {
  const double step = 1e-5;
  const double kept = value;
  value = kept + step;
  const double above = window.loss(c.inputs, c.targets, c.states);
  value = kept - step;
  const double below = window.loss(c.inputs, c.targets, c.states);
  value = kept;
  return (above - below) / (2 * step);
}

double largest(std::span<const double> values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

TEST(Window, StateGradientIsWhatCentralDifferencesSay) {
  // Given a model with every kind of layer, and a window longer than one block of head rows
  Case c = make_case({}, 70, 1);
  Window<double> window(c.model);
  // When the gradient is computed once
  std::vector<double> gradient(c.states.size());
  window.loss_and_gradient(c.inputs, c.targets, c.states, gradient);
  // Then every number of every layer's initial state agrees
  const double scale = largest(gradient);
  ASSERT_GT(scale, 1e-3);
  double worst = 0;
  for (std::size_t i = 0; i < c.states.size(); i += 3) {
    const double expected = central(c, window, c.states[i]);
    const double size = std::max({std::abs(expected), std::abs(gradient[i]), scale * 1e-3});
    worst = std::max(worst, std::abs(expected - gradient[i]) / size);
  }
  EXPECT_LE(worst, 1e-4);
  std::printf("worst relative error by state: %.2e\n", worst);
}

TEST(Window, EachLayersStateGradientIsNotZero) {
  Case c = make_case({}, 12, 2);
  Window<double> window(c.model);
  std::vector<double> gradient(c.states.size());
  window.loss_and_gradient(c.inputs, c.targets, c.states, gradient);
  const std::size_t per_layer = gradient.size() / c.model.layers.size();
  for (std::size_t l = 0; l < c.model.layers.size(); ++l) {
    EXPECT_GT(largest(std::span(gradient).subspan(l * per_layer, per_layer)), 1e-4) << l;
  }
}

TEST(Window, EmbeddingGradientIsWhatCentralDifferencesSay) {
  // Given the identity as the norm after the embedding would hide nothing: differences are taken
  // through its bias, which shifts every token alike
  Case c = make_case({.layers = 2}, 9, 3);
  Window<double> window(c.model);
  std::vector<double> gradient(c.states.size());
  std::vector<double> by_token(c.inputs.size() * c.model.width);
  window.loss_and_gradient(c.inputs, c.targets, c.states, gradient, by_token);
  // Then the gradient by channel j of the bias is the sum over tokens
  for (std::size_t j = 0; j < c.model.width; ++j) {
    double sum = 0;
    for (std::size_t t = 0; t < c.inputs.size(); ++t) sum += by_token[t * c.model.width + j];
    const double expected = central(c, window, c.model.after_embedding.bias.values[j]);
    EXPECT_NEAR(sum, expected, 1e-4 * std::max(1.0, std::abs(expected))) << j;
  }
}

TEST(Window, GradientGoesThroughLayerZerosValuesToEveryLayer) {
  // Layer 0's value matrix is used by all layers: its effect on the loss through v_first shows in
  // the embedding gradient, which was compared above; here one more shape, heads of other sizes
  Case c = make_case({.layers = 4, .heads = 3, .head_size = 4, .vocab = 23}, 20, 4);
  Window<double> window(c.model);
  std::vector<double> gradient(c.states.size());
  window.loss_and_gradient(c.inputs, c.targets, c.states, gradient);
  const double scale = largest(gradient);
  for (std::size_t i = 0; i < c.states.size(); i += 5) {
    const double expected = central(c, window, c.states[i]);
    EXPECT_NEAR(gradient[i], expected, 1e-4 * std::max(std::abs(expected), scale * 1e-3)) << i;
  }
}

template <class From>
DenseModel<float> narrowed(test::DenseShape shape, From seed) {
  return test::RandomDense<float>(shape, seed).make();
}

TEST(Window, FloatFollowsDouble) {
  Case c = make_case({}, 40, 5);
  const DenseModel<float> model = narrowed(test::DenseShape{}, 5U);
  const std::vector<float> states(c.states.begin(), c.states.end());
  Window<double> exact(c.model);
  Window<float> fast(model);
  std::vector<double> exact_gradient(states.size());
  std::vector<float> gradient(states.size());
  const double expected = exact.loss_and_gradient(c.inputs, c.targets, c.states, exact_gradient);
  const double loss = fast.loss_and_gradient(c.inputs, c.targets, states, gradient);
  EXPECT_NEAR(loss, expected, 1e-4 * expected);
  const double scale = largest(exact_gradient);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(gradient[i], exact_gradient[i], 1e-3 * scale) << i;
  }
}

TEST(Window, SameBitsTwiceAndAfterOtherWindows) {
  Case c = make_case({}, 33, 6);
  const DenseModel<float> model = narrowed(test::DenseShape{}, 6U);
  const std::vector<float> states(c.states.begin(), c.states.end());
  Window<float> window(model);
  std::vector<float> first(states.size()), again(states.size());
  const double loss = window.loss_and_gradient(c.inputs, c.targets, states, first);
  const std::span inputs(c.inputs), targets(c.targets);
  window.loss_and_gradient(inputs.first(5), targets.first(5), states, again);
  EXPECT_EQ(window.loss_and_gradient(c.inputs, c.targets, states, again), loss);
  EXPECT_EQ(first, again);
  EXPECT_EQ(window.loss(c.inputs, c.targets, states), loss);
}

TEST(Window, LogitsGiveTheLoss) {
  Case c = make_case({.layers = 1}, 66, 7);
  Window<double> window(c.model);
  std::vector<double> logits(c.inputs.size() * c.model.vocab);
  window.logits(c.inputs, c.states, logits);
  double sum = 0;
  for (std::size_t t = 0; t < c.inputs.size(); ++t) {
    const auto row = std::span(logits).subspan(t * c.model.vocab, c.model.vocab);
    double total = 0;
    for (const double logit : row) total += std::exp(logit);
    sum += std::log(total) - row[c.targets[t]];
  }
  EXPECT_NEAR(window.loss(c.inputs, c.targets, c.states), sum, 1e-9 * sum);
}

}  // namespace
}  // namespace skein
