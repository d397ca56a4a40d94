// The RWKV-7 state update of one head: the delta rule with a vector-valued decay.
//   S = S diag(w) - (S kk) b^T + v k^T       b = kk * a
//   y = S r                                   with the new S
// S is (size, size), row = value index, column = key index.
// Order: s_i = sum_j S_ij * kk_j and y_i = sum_j S_ij * r_j in the order of norm.h;
// S_ij = (S_ij * w_j - s_i * b_j) + v_i * k_j. One thread a head; no allocation.
#pragma once

#include <cstdint>
#include <span>

namespace skein {

// All but state and y point at `size` floats that stay unchanged; nothing overlaps.
// soon: the state that is updated next, to be fetched meanwhile (or null).
struct WkvHead {
  float* state = nullptr;     // size * size
  const float* r = nullptr;   // receptance
  const float* w = nullptr;   // decay
  const float* k = nullptr;   // key
  const float* v = nullptr;   // value
  const float* kk = nullptr;  // removal key, unit length
  const float* b = nullptr;   // kk * in-context learning rate
  float* y = nullptr;         // size
  std::uint32_t size = 0;
  const float* soon = nullptr;  // size * size
};

void wkv(const WkvHead& head);

// What RWKV-7 does to some whole heads' channels of one token before and after the state update, in
// one go each. All point at `count` floats (heads * size); sums run over a head, in the order of
// norm.h.
struct HeadInputs {
  float* w = nullptr;  // the LoRA's output without bias -> exp(-exp(-0.5) sigmoid(w + w_bias))
  const float* w_bias = nullptr;
  float* a = nullptr;  // -> sigmoid(a + a_bias)
  const float* a_bias = nullptr;
  float* v = nullptr;
  float* v_first = nullptr;
  float* gate = nullptr;  // null: v_first = v; else v += (v_first - v) sigmoid(gate + gate_bias)
  const float* gate_bias = nullptr;
  float* k = nullptr;   // -> k + k (a - 1) k_a
  float* kk = nullptr;  // -> k k_k, each head of unit length
  float* b = nullptr;   // -> kk a
  const float* k_k = nullptr;
  const float* k_a = nullptr;
  std::uint32_t count = 0;
  std::uint32_t size = 0;
};
void prepare_heads(const HeadInputs& in);

struct HeadOutputs {
  float* y = nullptr;  // -> (group norm(y) + (sum over the head of r k r_k) v) g
  const float* r = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* g = nullptr;
  const float* r_k = nullptr;
  const float* norm_weight = nullptr;
  const float* norm_bias = nullptr;
  float epsilon = 0;
  std::uint32_t count = 0;
  std::uint32_t size = 0;
};
void finish_heads(const HeadOutputs& out);

// RWKV-5 and RWKV-6, one head: linear attention with decay and a bonus u for the token at hand.
//   y = S r + (sum_j r_j u_j k_j) v       with the old S
//   S = S diag(w) + v k^T
// Order: the sums as above; S_ij = S_ij * w_j + v_i * k_j.
struct DecayHead {
  float* state = nullptr;    // size * size
  const float* r = nullptr;  // receptance
  const float* w = nullptr;  // decay
  const float* k = nullptr;  // key
  const float* v = nullptr;  // value
  const float* u = nullptr;  // bonus
  float* y = nullptr;        // size
  std::uint32_t size = 0;
};

void decay_wkv(const DecayHead& head);

// RWKV-4: per channel, the average of all values so far, weighted by exp(key) and decaying by
// exp(w) a token; the token at hand counts exp(u + key). The state is the numerator and denominator
// of that average, both times exp(-exponent), so that no exp overflows. All spans equally long.
struct WkvChannels {
  std::span<float> numerator, denominator, exponent;
  std::span<const float> k, v, w, u;
  std::span<float> y;
};

void channel_wkv(const WkvChannels& channels);

}  // namespace skein
