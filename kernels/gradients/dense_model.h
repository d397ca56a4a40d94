// DenseModel: all of an RWKV-7 model's numbers as plain floats (or doubles), for the code that
// differentiates it. Value; owned by whoever trains; immutable while used; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace skein::gradients {

// Row-major (rows, cols); y = W x. A vector has one row.
template <class Real>
struct Dense {
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::vector<Real> values;
};

template <class Real>
struct Norm {
  Dense<Real> weight, bias;  // (1, width)
};

// up * act(down * x) + bias; the act is the caller's.
template <class Real>
struct Lora {
  Dense<Real> down;  // (rank, width)
  Dense<Real> up;    // (width, rank)
  Dense<Real> bias;  // (1, width); empty for the gate
};

template <class Real>
struct DenseLayer {
  Norm<Real> before_time_mix, before_channel_mix;                    // ln1, ln2
  Dense<Real> shift_r, shift_w, shift_k, shift_v, shift_a, shift_g;  // (1, width): x_r ... x_g
  Dense<Real> receptance, key, value, output;                        // (width, width)
  Lora<Real> decay, rate, mix, gate;  // w, a, v, g; mix is empty in layer 0
  Dense<Real> k_k, k_a, r_k;          // (1, width)
  Norm<Real> heads_norm;              // ln_x
  Dense<Real> shift_channel;          // (1, width): ffn.x_k
  Dense<Real> channel_key;            // (neurons, width): ffn_width of them at most
  Dense<Real> channel_value;          // (neurons, width): neuron-major, the transpose of ffn.value
  Dense<Real> thresholds;             // (1, neurons): values below are silent; empty: none
};

template <class Real>
struct DenseModel {
  std::uint32_t width = 0, heads = 0, head_size = 0, ffn_width = 0, vocab = 0;
  Dense<Real> embedding;       // (vocab, width)
  Norm<Real> after_embedding;  // ln0; empty: the embedding's rows are normed already
  std::vector<DenseLayer<Real>> layers;
  Norm<Real> before_head;  // ln_out
  Dense<Real> head;        // (vocab, width)

  std::size_t state_size() const {  // values in all layers' initial WKV states
    return layers.size() * std::size_t{heads} * head_size * head_size;
  }
};

}  // namespace skein::gradients
