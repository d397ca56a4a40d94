// Time mixing of one layer over a window, both ways. Private to kernels/gradients.
#pragma once

#include "kernels/gradients/internal/wkv.h"

namespace skein::gradients {

struct HeadShape {
  std::uint32_t heads = 0;
  std::uint32_t size = 0;
  std::size_t state_size() const { return std::size_t{heads} * size * size; }
};

// What one layer remembers for the way back, (T, D) unless noted.
template <class Real>
struct TimeMixTape {
  NormTape<Real> norm;                     // ln1
  Grid<Real> r, k_raw, k, v_raw, v, a, g;  // as in the formulas of time_mix.cpp
  Grid<Real> decay_sigmoid, w;             // w = exp(-e^-0.5 * sigmoid)
  Grid<Real> decay_hidden, gate_hidden;    // (T, rank), after tanh / sigmoid
  Grid<Real> mix;                          // how much of v_first is taken; empty: layer 0
  Grid<Real> kk, kk_length;                // (T, D), (T, heads)
  NormTape<Real> heads_norm;               // ln_x
  Grid<Real> bonus;                        // (T, heads): sum(r k r_k)
  Grid<Real> z;                            // before the gate
};

template <class Real>
struct TimeMixScratch {
  Grid<Real> normed, shifted, hidden, y, product, d_normed, d_z, d_gate;
  WkvStates<Real> states;
  WkvGradients<Real> d;
  std::vector<Real> d_state;
};

// x += time_mix(LN1(x)) from the initial states (heads, N, N). v_first is written by layer 0 and
// read by the others.
template <class Real>
void time_mix_forward(const DenseLayer<Real>& layer, HeadShape shape, const Real* states,
                      Grid<Real>& x, Grid<Real>& v_first, TimeMixTape<Real>& tape,
                      TimeMixScratch<Real>& scratch);

// d_x: derivative by the output, becomes the derivative by the input; d_v_first is added to, and
// used up by layer 0. d_states (heads, N, N) is written. `to_input` false: only d_states is wanted.
template <class Real>
struct TimeMixBack {
  const DenseLayer<Real>* layer = nullptr;
  HeadShape shape;
  const Real* states = nullptr;
  const Grid<Real>* v_first = nullptr;
  bool to_input = true;
};
template <class Real>
void time_mix_backward(const TimeMixBack<Real>& what, const TimeMixTape<Real>& tape,
                       Grid<Real>& d_x, Grid<Real>& d_v_first, Real* d_states,
                       TimeMixScratch<Real>& scratch);

}  // namespace skein::gradients
