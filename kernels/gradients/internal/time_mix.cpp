// Time mixing, forwards in the order of the paper and backwards in reverse:
//
//   x_    = LN1(x);   x_q = x_ + m_q (x_(t-1) - x_)            for q in r, w, k, v, a, g
//   r, k_raw, v_raw = Wr x_r, Wk x_k, Wv x_v
//   w     = exp(-e^-0.5 sigmoid(up tanh(down x_w) + b))
//   a     = sigmoid(up down x_a + b);   g = up sigmoid(down x_g)
//   v     = v_raw + (v_first - v_raw) sigmoid(up down x_v + b)   (layer 0: v = v_first = v_raw)
//   kk    = k_raw k_k / |k_raw k_k| per head;   k = k_raw (1 + (a - 1) k_a)
//   y     = WKV(r, w, k, v, kk, a)
//   z     = ln_x(y) + sum_head(r k r_k) v
//   x    += Wo (z g)
#include "kernels/gradients/internal/time_mix.h"

#include <cmath>
#include <cstring>

namespace skein::gradients {
namespace {

constexpr double kDecayScale = 0.60653065971263342;  // e^-0.5
constexpr double kNormEpsilon = 1e-5;
constexpr double kHeadsNormEpsilon = 64e-5;
constexpr double kShortest = 1e-12;  // a shorter kk is not stretched to length one

template <class Real>
WkvInputs<Real> inputs_of(const TimeMixTape<Real>& tape) {
  return {&tape.r, &tape.w, &tape.k, &tape.v, &tape.kk, &tape.a};
}

template <class Real>
void lora_forward(const Grid<Real>& x, const Lora<Real>& lora, Grid<Real>& hidden,
                  Grid<Real>& out) {
  times_transposed(x, lora.down, hidden);
  times_transposed(hidden, lora.up, out);
  if (!lora.bias.values.empty()) out.rowwise() += line(lora.bias);
}

template <class Real>
void project(const DenseLayer<Real>& layer, TimeMixTape<Real>& tape,
             TimeMixScratch<Real>& scratch) {
  Grid<Real>& shifted = scratch.shifted;
  shift_forward(scratch.normed, layer.shift_r, shifted);
  times_transposed(shifted, layer.receptance, tape.r);
  shift_forward(scratch.normed, layer.shift_k, shifted);
  times_transposed(shifted, layer.key, tape.k_raw);
  shift_forward(scratch.normed, layer.shift_w, shifted);
  times_transposed(shifted, layer.decay.down, tape.decay_hidden);
  tape.decay_hidden = tape.decay_hidden.tanh();
  times_transposed(tape.decay_hidden, layer.decay.up, tape.decay_sigmoid);
  tape.decay_sigmoid.rowwise() += line(layer.decay.bias);
  sigmoid_in_place(tape.decay_sigmoid);
  tape.w = (tape.decay_sigmoid * Real(-kDecayScale)).exp();
  shift_forward(scratch.normed, layer.shift_a, shifted);
  lora_forward(shifted, layer.rate, scratch.hidden, tape.a);
  sigmoid_in_place(tape.a);
  shift_forward(scratch.normed, layer.shift_g, shifted);
  times_transposed(shifted, layer.gate.down, tape.gate_hidden);
  sigmoid_in_place(tape.gate_hidden);
  times_transposed(tape.gate_hidden, layer.gate.up, tape.g);
  shift_forward(scratch.normed, layer.shift_v, shifted);
  times_transposed(shifted, layer.value, tape.v_raw);
}

// `scratch.shifted` still holds x_v.
template <class Real>
void mix_values(const DenseLayer<Real>& layer, Grid<Real>& v_first, TimeMixTape<Real>& tape,
                TimeMixScratch<Real>& scratch) {
  if (layer.mix.down.values.empty()) {
    tape.mix.resize(0, 0);
    v_first = tape.v_raw;
    tape.v = tape.v_raw;
    return;
  }
  lora_forward(scratch.shifted, layer.mix, scratch.hidden, tape.mix);
  sigmoid_in_place(tape.mix);
  tape.v = tape.v_raw + (v_first - tape.v_raw) * tape.mix;
}

template <class Real>
void make_keys(const DenseLayer<Real>& layer, HeadShape shape, TimeMixTape<Real>& tape) {
  const Eigen::Index size = shape.size;
  tape.kk = tape.k_raw.rowwise() * line(layer.k_k);
  tape.k = tape.k_raw * (1 + (tape.a - 1).rowwise() * line(layer.k_a));
  tape.kk_length.resize(tape.kk.rows(), shape.heads);
  tape.bonus.resize(tape.kk.rows(), shape.heads);
  for (Eigen::Index t = 0; t < tape.kk.rows(); ++t) {
    for (Eigen::Index h = 0; h < shape.heads; ++h) {
      auto kk = tape.kk.row(t).segment(h * size, size);
      tape.kk_length(t, h) = std::max(std::sqrt(kk.square().sum()), Real(kShortest));
      kk /= tape.kk_length(t, h);
      tape.bonus(t, h) =
          (tape.r.row(t).segment(h * size, size) * tape.k.row(t).segment(h * size, size) *
           line(layer.r_k).segment(h * size, size))
              .sum();
    }
  }
}

}  // namespace

template <class Real>
void time_mix_forward(const DenseLayer<Real>& layer, HeadShape shape, const Real* states,
                      Grid<Real>& x, Grid<Real>& v_first, TimeMixTape<Real>& tape,
                      TimeMixScratch<Real>& scratch) {
  const Eigen::Index size = shape.size;
  norm_forward(x, 1, Real(kNormEpsilon), layer.before_time_mix, tape.norm, scratch.normed);
  project(layer, tape, scratch);
  mix_values(layer, v_first, tape, scratch);
  make_keys(layer, shape, tape);
  scratch.y.resize(x.rows(), x.cols());
  const std::size_t square = std::size_t{shape.size} * shape.size;
  for (Eigen::Index h = 0; h < shape.heads; ++h) {
    scratch.states.values.resize(std::max(scratch.states.values.size(), 2 * square));
    std::memcpy(scratch.states.values.data(), states + static_cast<std::size_t>(h) * square,
                square * sizeof(Real));
    wkv_forward(inputs_of(tape), h, size, false, scratch.states, scratch.y);
  }
  norm_forward(scratch.y, shape.heads, Real(kHeadsNormEpsilon), layer.heads_norm, tape.heads_norm,
               tape.z);
  for (Eigen::Index t = 0; t < x.rows(); ++t) {
    for (Eigen::Index h = 0; h < shape.heads; ++h) {
      tape.z.row(t).segment(h * size, size) +=
          tape.v.row(t).segment(h * size, size) * tape.bonus(t, h);
    }
  }
  scratch.shifted = tape.z * tape.g;
  times_transposed(scratch.shifted, layer.output, scratch.product);
  x += scratch.product;
}

namespace {

// Through z = ln_x(y) + bonus v and the bonus itself: fills d.r, d.k, d.v; d_z becomes d_y.
template <class Real>
void bonus_backward(const TimeMixBack<Real>& what, const TimeMixTape<Real>& tape,
                    TimeMixScratch<Real>& scratch) {
  const Eigen::Index size = what.shape.size;
  WkvGradients<Real>& d = scratch.d;
  for (Grid<Real>* sum : {&d.r, &d.w, &d.k, &d.v, &d.kk, &d.a}) {
    sum->setZero(scratch.d_z.rows(), scratch.d_z.cols());
  }
  for (Eigen::Index t = 0; t < d.r.rows(); ++t) {
    for (Eigen::Index h = 0; h < what.shape.heads; ++h) {
      const auto part = [&](const auto& of) { return of.row(t).segment(h * size, size); };
      const auto r_k = line(what.layer->r_k).segment(h * size, size);
      const Real d_bonus = (part(scratch.d_z) * part(tape.v)).sum();
      d.v.row(t).segment(h * size, size) = part(scratch.d_z) * tape.bonus(t, h);
      d.r.row(t).segment(h * size, size) = part(tape.k) * r_k * d_bonus;
      d.k.row(t).segment(h * size, size) = part(tape.r) * r_k * d_bonus;
    }
  }
  norm_backward(scratch.d_z, what.shape.heads, what.layer->heads_norm, tape.heads_norm, scratch.y);
}

template <class Real>
void states_backward(const TimeMixBack<Real>& what, const TimeMixTape<Real>& tape, Real* d_states,
                     TimeMixScratch<Real>& scratch) {
  const Eigen::Index size = what.shape.size;
  const std::size_t square = std::size_t{what.shape.size} * what.shape.size;
  const std::size_t kept = (static_cast<std::size_t>(scratch.y.rows()) + 1) * square;
  scratch.product.resize(scratch.y.rows(), scratch.y.cols());  // y again, not needed
  for (std::size_t h = 0; h < what.shape.heads; ++h) {
    scratch.states.values.resize(kept);
    std::memcpy(scratch.states.values.data(), what.states + h * square, square * sizeof(Real));
    const auto head = static_cast<Eigen::Index>(h);
    wkv_forward(inputs_of(tape), head, size, true, scratch.states, scratch.product);
    Real* d_state = d_states + h * square;
    std::fill_n(d_state, square, Real(0));
    wkv_backward(inputs_of(tape), head, size, scratch.states, scratch.y, d_state, scratch.d);
  }
}

// Through kk and k to k_raw (left in d.k) and to a.
template <class Real>
void keys_backward(const TimeMixBack<Real>& what, const TimeMixTape<Real>& tape,
                   WkvGradients<Real>& d) {
  const Eigen::Index size = what.shape.size;
  const auto k_a = line(what.layer->k_a);
  d.a += (d.k * tape.k_raw).rowwise() * k_a;
  d.k *= 1 + (tape.a - 1).rowwise() * k_a;
  for (Eigen::Index t = 0; t < d.k.rows(); ++t) {
    for (Eigen::Index h = 0; h < what.shape.heads; ++h) {
      const auto kk = tape.kk.row(t).segment(h * size, size);
      auto d_kk = d.kk.row(t).segment(h * size, size);
      const Real along = (kk * d_kk).sum();
      d_kk = (d_kk - kk * along) / tape.kk_length(t, h);
    }
  }
  d.k += d.kk.rowwise() * line(what.layer->k_k);
}

// d_out (T, D) at the sum inside the activation -> added to d_normed through up, `by_hidden` (the
// activation's slope between, if any), down and the token shift.
template <class Real>
void lora_backward(const Grid<Real>& d_out, const Lora<Real>& lora, const Grid<Real>* by_hidden,
                   const Dense<Real>& shift, TimeMixScratch<Real>& scratch) {
  times(d_out, lora.up, scratch.hidden);
  if (by_hidden != nullptr) scratch.hidden *= *by_hidden;
  times(scratch.hidden, lora.down, scratch.product);
  shift_backward(scratch.product, shift, scratch.d_normed);
}

template <class Real>
void matrix_backward(const Grid<Real>& d_out, const Dense<Real>& matrix, const Dense<Real>& shift,
                     TimeMixScratch<Real>& scratch) {
  times(d_out, matrix, scratch.product);
  shift_backward(scratch.product, shift, scratch.d_normed);
}

// From the six vectors of WKV and the gate to the normed input.
template <class Real>
void projections_backward(const TimeMixBack<Real>& what, const TimeMixTape<Real>& tape,
                          Grid<Real>& d_v_first, TimeMixScratch<Real>& scratch) {
  const DenseLayer<Real>& layer = *what.layer;
  WkvGradients<Real>& d = scratch.d;
  scratch.d_normed.setZero(d.r.rows(), d.r.cols());
  Grid<Real> slope = tape.gate_hidden * (1 - tape.gate_hidden);
  lora_backward(scratch.d_gate, layer.gate, &slope, layer.shift_g, scratch);
  slope = 1 - tape.decay_hidden.square();
  d.w *= tape.w * tape.decay_sigmoid * (1 - tape.decay_sigmoid) * Real(-kDecayScale);
  lora_backward(d.w, layer.decay, &slope, layer.shift_w, scratch);
  d.a *= tape.a * (1 - tape.a);
  lora_backward<Real>(d.a, layer.rate, nullptr, layer.shift_a, scratch);
  if (tape.mix.size() == 0) {
    d.v += d_v_first;
  } else {
    d_v_first += d.v * tape.mix;
    slope = d.v * (*what.v_first - tape.v_raw) * tape.mix * (1 - tape.mix);
    lora_backward<Real>(slope, layer.mix, nullptr, layer.shift_v, scratch);
    d.v *= 1 - tape.mix;
  }
  matrix_backward(d.v, layer.value, layer.shift_v, scratch);
  matrix_backward(d.k, layer.key, layer.shift_k, scratch);
  matrix_backward(d.r, layer.receptance, layer.shift_r, scratch);
}

}  // namespace

template <class Real>
void time_mix_backward(const TimeMixBack<Real>& what, const TimeMixTape<Real>& tape,
                       Grid<Real>& d_x, Grid<Real>& d_v_first, Real* d_states,
                       TimeMixScratch<Real>& scratch) {
  times(d_x, what.layer->output, scratch.d_z);
  scratch.d_gate = scratch.d_z * tape.z;
  scratch.d_z *= tape.g;
  bonus_backward(what, tape, scratch);
  states_backward(what, tape, d_states, scratch);
  if (!what.to_input) return;
  keys_backward(what, tape, scratch.d);
  projections_backward(what, tape, d_v_first, scratch);
  norm_backward(scratch.d_normed, 1, what.layer->before_time_mix, tape.norm, scratch.product);
  d_x += scratch.product;
}

template void time_mix_forward(const DenseLayer<float>&, HeadShape, const float*, Grid<float>&,
                               Grid<float>&, TimeMixTape<float>&, TimeMixScratch<float>&);
template void time_mix_forward(const DenseLayer<double>&, HeadShape, const double*, Grid<double>&,
                               Grid<double>&, TimeMixTape<double>&, TimeMixScratch<double>&);
template void time_mix_backward(const TimeMixBack<float>&, const TimeMixTape<float>&, Grid<float>&,
                                Grid<float>&, float*, TimeMixScratch<float>&);
template void time_mix_backward(const TimeMixBack<double>&, const TimeMixTape<double>&,
                                Grid<double>&, Grid<double>&, double*, TimeMixScratch<double>&);

}  // namespace skein::gradients
