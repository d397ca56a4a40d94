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
};

void wkv(const WkvHead& head);

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
