// A small RWKV-7 model with random weights of sensible sizes, as plain matrices. Tests only.
#pragma once

#include <cmath>
#include <random>

#include "kernels/gradients/dense_model.h"

namespace skein::test {

struct DenseShape {
  std::uint32_t layers = 3, heads = 2, head_size = 8, ffn_width = 48, vocab = 40, rank = 5;
};

template <class Real>
class RandomDense {
 public:
  RandomDense(DenseShape shape, std::uint64_t seed) : shape_(shape), source_(seed) {}

  gradients::DenseModel<Real> make() {
    const std::uint32_t width = shape_.heads * shape_.head_size;
    gradients::DenseModel<Real> model;
    model.width = width;
    model.heads = shape_.heads;
    model.head_size = shape_.head_size;
    model.ffn_width = shape_.ffn_width;
    model.vocab = shape_.vocab;
    model.embedding = dense(shape_.vocab, width, 1);
    model.after_embedding = norm(width);
    for (std::uint32_t l = 0; l < shape_.layers; ++l) model.layers.push_back(layer(width, l));
    model.before_head = norm(width);
    model.head = dense(shape_.vocab, width, 1 / std::sqrt(double(width)));
    return model;
  }

  gradients::Dense<Real> dense(std::uint32_t rows, std::uint32_t cols, double spread,
                               double middle = 0) {
    std::normal_distribution<double> normal(middle, spread);
    gradients::Dense<Real> made{rows, cols, {}};
    made.values.resize(std::size_t{rows} * cols);
    for (Real& value : made.values) value = static_cast<Real>(normal(source_));
    return made;
  }

 private:
  gradients::Norm<Real> norm(std::uint32_t width) {
    return {dense(1, width, 0.2, 1), dense(1, width, 0.2)};
  }
  gradients::Lora<Real> lora(std::uint32_t width, bool with_bias) {
    gradients::Lora<Real> made{dense(shape_.rank, width, 1 / std::sqrt(double(width))),
                               dense(width, shape_.rank, 0.5),
                               {}};
    if (with_bias) made.bias = dense(1, width, 0.5);
    return made;
  }
  gradients::DenseLayer<Real> layer(std::uint32_t width, std::uint32_t index) {
    const double spread = 1 / std::sqrt(double(width));
    gradients::DenseLayer<Real> made;
    made.before_time_mix = norm(width);
    made.before_channel_mix = norm(width);
    for (auto* shift : {&made.shift_r, &made.shift_w, &made.shift_k, &made.shift_v, &made.shift_a,
                        &made.shift_g, &made.shift_channel}) {
      *shift = dense(1, width, 0.3, 0.4);
    }
    for (auto* matrix : {&made.receptance, &made.key, &made.value, &made.output}) {
      *matrix = dense(width, width, spread);
    }
    made.decay = lora(width, true);
    made.rate = lora(width, true);
    if (index > 0) made.mix = lora(width, true);
    made.gate = lora(width, false);
    made.k_k = dense(1, width, 0.2, 0.8);
    made.k_a = dense(1, width, 0.2, 1);
    made.r_k = dense(1, width, 0.3);
    made.heads_norm = norm(width);
    made.channel_key = dense(shape_.ffn_width, width, spread);
    made.channel_value = dense(shape_.ffn_width, width, spread);
    return made;
  }

  DenseShape shape_;
  std::mt19937_64 source_;
};

}  // namespace skein::test
