// Channel mixing and the head of the model over a window, both ways. Private to kernels/gradients.
#pragma once

#include <span>

#include "kernels/gradients/internal/grid.h"

namespace skein::gradients {

template <class Real>
struct ChannelMixTape {
  NormTape<Real> norm;  // ln2
  Grid<Real> relu;      // (T, F): relu(Wkey x_k), mostly zeros
};

template <class Real>
struct ChannelMixScratch {
  Grid<Real> normed, shifted, squared, product;
};

// x += Wvalue^T relu(Wkey shift(LN2(x)))^2; neurons that are zero are not visited.
template <class Real>
void channel_mix_forward(const DenseLayer<Real>& layer, Grid<Real>& x, ChannelMixTape<Real>& tape,
                         ChannelMixScratch<Real>& scratch);
// d_x: derivative by the output, becomes the derivative by the input.
template <class Real>
void channel_mix_backward(const DenseLayer<Real>& layer, const ChannelMixTape<Real>& tape,
                          Grid<Real>& d_x, ChannelMixScratch<Real>& scratch);

template <class Real>
struct HeadScratch {
  NormTape<Real> norm;  // ln_out
  Grid<Real> rows, normed, logits, d_normed, d_rows;
};

// Rows [first, first + count) of x: LNout, head, logits left in scratch.logits.
template <class Real>
void head_forward(const DenseModel<Real>& model, const Grid<Real>& x, Eigen::Index first,
                  Eigen::Index count, HeadScratch<Real>& scratch);
// After head_forward: sum of -log p(target); scratch.logits becomes the derivative by the logits.
template <class Real>
double cross_entropy(std::span<const std::uint32_t> targets, HeadScratch<Real>& scratch);
// After cross_entropy: the derivative by those rows of x.
template <class Real>
void head_backward(const DenseModel<Real>& model, Eigen::Index first, Grid<Real>& d_x,
                   HeadScratch<Real>& scratch);

}  // namespace skein::gradients
