#include "kernels/gradients/internal/wkv.h"

namespace skein::gradients {
namespace {

template <class Real>
using Row = Eigen::Map<Line<Real>>;
template <class Real>
using ConstRow = Eigen::Map<const Line<Real>>;

// The six vectors of one token and head.
template <class Real>
struct Token {
  Token(const WkvInputs<Real>& in, Eigen::Index t, Eigen::Index first, Eigen::Index size)
      : r(&(*in.r)(t, first), size),
        w(&(*in.w)(t, first), size),
        k(&(*in.k)(t, first), size),
        v(&(*in.v)(t, first), size),
        kk(&(*in.kk)(t, first), size),
        a(&(*in.a)(t, first), size) {}
  ConstRow<Real> r, w, k, v, kk, a;
};

}  // namespace

template <class Real>
void wkv_forward(const WkvInputs<Real>& in, Eigen::Index head, Eigen::Index size, bool keep,
                 WkvStates<Real>& states, Grid<Real>& y) {
  const Eigen::Index first = head * size;
  const Eigen::Index square = size * size;
  const Eigen::Index tokens = y.rows();
  states.values.resize(static_cast<std::size_t>((keep ? tokens + 1 : 2) * square));
  states.removed.resize(static_cast<std::size_t>((keep ? tokens : 1) * size));
  Line<Real> taken(size);
  for (Eigen::Index t = 0; t < tokens; ++t) {
    const Token<Real> token(in, t, first, size);
    taken = token.kk * token.a;
    const Real* before = states.values.data() + (keep ? t : t % 2) * square;
    Real* after = states.values.data() + (keep ? t + 1 : (t + 1) % 2) * square;
    Real* removed = states.removed.data() + (keep ? t : 0) * size;
    for (Eigen::Index i = 0; i < size; ++i) {
      const ConstRow<Real> old(before + i * size, size);
      Row<Real> now(after + i * size, size);
      removed[i] = (old * token.kk).sum();
      now = old * token.w - taken * removed[i] + token.k * token.v[i];
      y(t, first + i) = (now * token.r).sum();
    }
  }
}

template <class Real>
void wkv_backward(const WkvInputs<Real>& in, Eigen::Index head, Eigen::Index size,
                  const WkvStates<Real>& states, const Grid<Real>& d_y, Real* d_state,
                  WkvGradients<Real>& out) {
  const Eigen::Index first = head * size;
  const Eigen::Index square = size * size;
  Line<Real> taken(size), d_taken(size), d_r(size), d_w(size), d_k(size), d_kk(size);
  for (Eigen::Index t = d_y.rows() - 1; t >= 0; --t) {
    const Token<Real> token(in, t, first, size);
    taken = token.kk * token.a;
    for (Line<Real>* sum : {&d_taken, &d_r, &d_w, &d_k, &d_kk}) sum->setZero();
    for (Eigen::Index i = 0; i < size; ++i) {
      const ConstRow<Real> old(states.values.data() + t * square + i * size, size);
      const ConstRow<Real> now(states.values.data() + (t + 1) * square + i * size, size);
      Row<Real> d(d_state + i * size, size);
      const Real dy = d_y(t, first + i);
      d += token.r * dy;
      d_r += now * dy;
      d_w += d * old;
      d_k += d * token.v[i];
      d_taken -= d * states.removed[static_cast<std::size_t>(t * size + i)];
      out.v(t, first + i) += (d * token.k).sum();
      const Real d_removed = -(d * taken).sum();
      d_kk += old * d_removed;
      d = d * token.w + token.kk * d_removed;
    }
    out.r.row(t).segment(first, size) += d_r;
    out.w.row(t).segment(first, size) += d_w;
    out.k.row(t).segment(first, size) += d_k;
    out.kk.row(t).segment(first, size) += d_kk + d_taken * token.a;
    out.a.row(t).segment(first, size) += d_taken * token.kk;
  }
}

template void wkv_forward(const WkvInputs<float>&, Eigen::Index, Eigen::Index, bool,
                          WkvStates<float>&, Grid<float>&);
template void wkv_forward(const WkvInputs<double>&, Eigen::Index, Eigen::Index, bool,
                          WkvStates<double>&, Grid<double>&);
template void wkv_backward(const WkvInputs<float>&, Eigen::Index, Eigen::Index,
                           const WkvStates<float>&, const Grid<float>&, float*,
                           WkvGradients<float>&);
template void wkv_backward(const WkvInputs<double>&, Eigen::Index, Eigen::Index,
                           const WkvStates<double>&, const Grid<double>&, double*,
                           WkvGradients<double>&);

}  // namespace skein::gradients
