#include "kernels/gradients/internal/channel_mix.h"

#include <cmath>

namespace skein::gradients {
namespace {

constexpr double kNormEpsilon = 1e-5;

// y = h W for an h that is mostly zeros, W (F, D): rows behind a zero are not touched.
template <class Real>
void sparse_times(const Grid<Real>& h, const Dense<Real>& w, Grid<Real>& y) {
  y.setZero(h.rows(), w.cols);
  const auto rows = grid(w);
  for (Eigen::Index t = 0; t < h.rows(); ++t) {
    for (Eigen::Index i = 0; i < h.cols(); ++i) {
      if (h(t, i) != 0) y.row(t) += rows.row(i) * h(t, i);
    }
  }
}

// For every neuron that fired: d_relu(t, i) = (d_out(t) . W(i)) * 2 relu; zero elsewhere.
template <class Real>
void sparse_slopes(const Grid<Real>& d_out, const Dense<Real>& w, const Grid<Real>& relu,
                   Grid<Real>& out) {
  out.setZero(relu.rows(), relu.cols());
  const auto rows = grid(w);
  for (Eigen::Index t = 0; t < relu.rows(); ++t) {
    for (Eigen::Index i = 0; i < relu.cols(); ++i) {
      if (relu(t, i) != 0) out(t, i) = (d_out.row(t) * rows.row(i)).sum() * 2 * relu(t, i);
    }
  }
}

// A silent neuron passes nothing on, and no slope back.
template <class Real>
void silence_below(const Dense<Real>& thresholds, Grid<Real>& relu) {
  if (thresholds.values.empty()) return;
  for (Eigen::Index t = 0; t < relu.rows(); ++t) {
    for (Eigen::Index i = 0; i < relu.cols(); ++i) {
      const Real threshold = thresholds.values[static_cast<std::size_t>(i)];
      if (relu(t, i) * relu(t, i) < threshold) relu(t, i) = 0;
    }
  }
}

}  // namespace

template <class Real>
void channel_mix_forward(const DenseLayer<Real>& layer, Grid<Real>& x, ChannelMixTape<Real>& tape,
                         ChannelMixScratch<Real>& scratch) {
  norm_forward(x, 1, Real(kNormEpsilon), layer.before_channel_mix, tape.norm, scratch.normed);
  shift_forward(scratch.normed, layer.shift_channel, scratch.shifted);
  times_transposed(scratch.shifted, layer.channel_key, tape.relu);
  tape.relu = tape.relu.max(Real(0));
  silence_below(layer.thresholds, tape.relu);
  scratch.squared = tape.relu.square();
  sparse_times(scratch.squared, layer.channel_value, scratch.product);
  x += scratch.product;
}

template <class Real>
void channel_mix_backward(const DenseLayer<Real>& layer, const ChannelMixTape<Real>& tape,
                          Grid<Real>& d_x, ChannelMixScratch<Real>& scratch) {
  sparse_slopes(d_x, layer.channel_value, tape.relu, scratch.squared);
  sparse_times(scratch.squared, layer.channel_key, scratch.shifted);
  scratch.normed.setZero(d_x.rows(), d_x.cols());
  shift_backward(scratch.shifted, layer.shift_channel, scratch.normed);
  norm_backward(scratch.normed, 1, layer.before_channel_mix, tape.norm, scratch.product);
  d_x += scratch.product;
}

template <class Real>
void head_forward(const DenseModel<Real>& model, const Grid<Real>& x, Eigen::Index first,
                  Eigen::Index count, HeadScratch<Real>& scratch) {
  scratch.rows = x.middleRows(first, count);
  norm_forward(scratch.rows, 1, Real(kNormEpsilon), model.before_head, scratch.norm,
               scratch.normed);
  times_transposed(scratch.normed, model.head, scratch.logits);
}

template <class Real>
double cross_entropy(std::span<const std::uint32_t> targets, HeadScratch<Real>& scratch) {
  double loss = 0;
  for (Eigen::Index t = 0; t < scratch.logits.rows(); ++t) {
    const Eigen::Index target = targets[static_cast<std::size_t>(t)];
    auto row = scratch.logits.row(t);
    const Real highest = row.maxCoeff();
    const Real at_target = row(target);
    row = (row - highest).exp();
    const Real sum = row.sum();
    loss += std::log(static_cast<double>(sum)) + static_cast<double>(highest - at_target);
    row /= sum;
    row(target) -= 1;
  }
  return loss;
}

template <class Real>
void head_backward(const DenseModel<Real>& model, Eigen::Index first, Grid<Real>& d_x,
                   HeadScratch<Real>& scratch) {
  times(scratch.logits, model.head, scratch.d_normed);
  norm_backward(scratch.d_normed, 1, model.before_head, scratch.norm, scratch.d_rows);
  d_x.middleRows(first, scratch.d_rows.rows()) = scratch.d_rows;
}

#define SKEIN_FOR_REAL(Real)                                                                     \
  template void channel_mix_forward(const DenseLayer<Real>&, Grid<Real>&, ChannelMixTape<Real>&, \
                                    ChannelMixScratch<Real>&);                                   \
  template void channel_mix_backward(const DenseLayer<Real>&, const ChannelMixTape<Real>&,       \
                                     Grid<Real>&, ChannelMixScratch<Real>&);                     \
  template void head_forward(const DenseModel<Real>&, const Grid<Real>&, Eigen::Index,           \
                             Eigen::Index, HeadScratch<Real>&);                                  \
  template double cross_entropy(std::span<const std::uint32_t>, HeadScratch<Real>&);             \
  template void head_backward(const DenseModel<Real>&, Eigen::Index, Grid<Real>&,                \
                              HeadScratch<Real>&);
SKEIN_FOR_REAL(float)
SKEIN_FOR_REAL(double)
#undef SKEIN_FOR_REAL

}  // namespace skein::gradients
