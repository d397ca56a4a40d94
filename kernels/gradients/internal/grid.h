// Grid: (tokens, channels) numbers of one window, row-major, and views of the model's weights as
// Eigen sees them; norms and token shift over them, both ways. Private to kernels/gradients.
#pragma once

#include <Eigen/Core>

#include "common/base/check.h"
#include "kernels/gradients/dense_model.h"

namespace skein::gradients {

template <class Real>
using Grid = Eigen::Array<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class Real>
using Line = Eigen::Array<Real, 1, Eigen::Dynamic>;

template <class Real>
Eigen::Map<const Grid<Real>> grid(const Dense<Real>& dense) {
  return {dense.values.data(), dense.rows, dense.cols};
}
template <class Real>
Eigen::Map<const Line<Real>> line(const Dense<Real>& dense) {
  return {dense.values.data(), static_cast<Eigen::Index>(dense.values.size())};
}

// y = x W^T, x (T, in), W (out, in).
template <class Real>
void times_transposed(const Grid<Real>& x, const Dense<Real>& w, Grid<Real>& y) {
  y.resize(x.rows(), w.rows);
  y.matrix().noalias() = x.matrix() * grid(w).matrix().transpose();
}
// y = x W, x (T, out), W (out, in): the way back through x W^T.
template <class Real>
void times(const Grid<Real>& x, const Dense<Real>& w, Grid<Real>& y) {
  y.resize(x.rows(), w.cols);
  y.matrix().noalias() = x.matrix() * grid(w).matrix();
}

// What a norm remembers for the way back.
template <class Real>
struct NormTape {
  Grid<Real> hat;      // (T, D): normalised, before weight and bias
  Grid<Real> inverse;  // (T, groups): 1 / standard deviation
};

// Each row in `groups` equal runs of channels: LayerNorm has one, ln_x one per head.
template <class Real>
void norm_forward(const Grid<Real>& x, std::uint32_t groups, Real epsilon, const Norm<Real>& norm,
                  NormTape<Real>& tape, Grid<Real>& out) {
  const Eigen::Index size = x.cols() / groups;
  tape.hat.resize(x.rows(), x.cols());
  tape.inverse.resize(x.rows(), groups);
  out.resize(x.rows(), x.cols());
  for (Eigen::Index t = 0; t < x.rows(); ++t) {
    for (Eigen::Index g = 0; g < groups; ++g) {
      const auto in = x.row(t).segment(g * size, size);
      auto hat = tape.hat.row(t).segment(g * size, size);
      hat = in - in.mean();
      tape.inverse(t, g) = 1 / std::sqrt(hat.square().mean() + epsilon);
      hat *= tape.inverse(t, g);
    }
    out.row(t) = tape.hat.row(t) * line(norm.weight) + line(norm.bias);
  }
}

template <class Real>
void norm_backward(const Grid<Real>& d_out, std::uint32_t groups, const Norm<Real>& norm,
                   const NormTape<Real>& tape, Grid<Real>& d_x) {
  const Eigen::Index size = d_out.cols() / groups;
  d_x.resize(d_out.rows(), d_out.cols());
  for (Eigen::Index t = 0; t < d_out.rows(); ++t) {
    d_x.row(t) = d_out.row(t) * line(norm.weight);
    for (Eigen::Index g = 0; g < groups; ++g) {
      const auto hat = tape.hat.row(t).segment(g * size, size);
      auto d = d_x.row(t).segment(g * size, size);
      const Real mean = d.mean();
      const Real along = (d * hat).mean();
      d = (d - mean - hat * along) * tape.inverse(t, g);
    }
  }
}

// out(t) = x(t) + m * (x(t-1) - x(t)), x(-1) = 0.
template <class Real>
void shift_forward(const Grid<Real>& x, const Dense<Real>& m, Grid<Real>& out) {
  out.resize(x.rows(), x.cols());
  const auto mix = line(m);
  out.row(0) = x.row(0) - mix * x.row(0);
  for (Eigen::Index t = 1; t < x.rows(); ++t) {
    out.row(t) = x.row(t) + mix * (x.row(t - 1) - x.row(t));
  }
}

// Adds to d_x.
template <class Real>
void shift_backward(const Grid<Real>& d_out, const Dense<Real>& m, Grid<Real>& d_x) {
  const auto mix = line(m);
  for (Eigen::Index t = 0; t < d_out.rows(); ++t) {
    d_x.row(t) += d_out.row(t) * (1 - mix);
    if (t > 0) d_x.row(t - 1) += d_out.row(t) * mix;
  }
}

template <class Real>
void sigmoid_in_place(Grid<Real>& x) {
  x = 1 / (1 + (-x).exp());
}

}  // namespace skein::gradients
