// The WKV recurrence of one head over a window, both ways. Private to kernels/gradients.
//
//   S(t) = S(t-1) diag(w) - (S(t-1) kk) (kk * a)^T + v k^T,   y(t) = S(t) r
//
// S is (N, N), row = value index i, column = key index j. Every formula below is one row of S at a
// time: rows do not see each other, except that the derivatives by key-side vectors sum over rows.
#pragma once

#include "kernels/gradients/internal/grid.h"

namespace skein::gradients {

// (T, D) each, of all heads.
template <class Real>
struct WkvInputs {
  const Grid<Real>* r = nullptr;
  const Grid<Real>* w = nullptr;
  const Grid<Real>* k = nullptr;
  const Grid<Real>* v = nullptr;
  const Grid<Real>* kk = nullptr;
  const Grid<Real>* a = nullptr;
};

template <class Real>
struct WkvGradients {
  Grid<Real> r, w, k, v, kk, a;  // (T, D)
};

// One head's states through the window: T + 1 of them, the first is the initial one.
template <class Real>
struct WkvStates {
  std::vector<Real> values;
  std::vector<Real> removed;  // (T, N): S(t-1) kk, what the step takes out
};

// Runs head `head` from states.values[0, N*N). Keeps every state when `keep`, else only two. y's
// columns of this head are written.
template <class Real>
void wkv_forward(const WkvInputs<Real>& in, Eigen::Index head, Eigen::Index size, bool keep,
                 WkvStates<Real>& states, Grid<Real>& y);

// `states` is what wkv_forward kept; d_state (N, N) comes in as the derivative by the last state
// and leaves as the derivative by the initial one. This head's columns of `out` are added to.
template <class Real>
void wkv_backward(const WkvInputs<Real>& in, Eigen::Index head, Eigen::Index size,
                  const WkvStates<Real>& states, const Grid<Real>& d_y, Real* d_state,
                  WkvGradients<Real>& out);

}  // namespace skein::gradients
