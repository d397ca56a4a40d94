// The time mixing of RWKV-7 "Goose" (Peng et al. 2025). Names follow the paper and the official
// weights: S is the state of a head.
#include <algorithm>

#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"

namespace skein {
namespace {

void identity(Span) {}

// v += (v_first - v) sigmoid(lora(x_v)); layer 0, which has no v-LoRA, sets v_first.
void mix_in_first_value(LayerPass& pass, const Lora& lora_v, View x_v, Activation& activation) {
  const Span v = pass.work.v;
  if (lora_v.down.rows() == 0) {
    std::ranges::copy(v, activation.v_first.begin());
    return;
  }
  const Span gate = pass.work.out;
  pass.lora(lora_v, x_v, identity, gate);
  sigmoid_all(gate);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] += (activation.v_first[i] - v[i]) * gate[i];
}

// kk = normalize(k k_k);  b = kk a;  k = k + k (a - 1) k_a
void prepare_keys(Workspace& work, const TimeMix7& att) {
  const Span k = work.k, kk = work.kk, a = work.a, b = work.b;
  for (std::size_t i = 0; i < k.size(); ++i) kk[i] = k[i] * att.k_k[i];
  normalize_groups(kk, work.heads.size());
  for (std::size_t i = 0; i < k.size(); ++i) {
    b[i] = kk[i] * a[i];
    k[i] += k[i] * (a[i] - 1.0F) * att.k_a[i];
  }
}

// y = S r
void update_state(LayerPass& pass, Span state) {
  Workspace& work = pass.work;
  const std::size_t size = work.r.size() / work.heads.size();
  for (std::size_t i = 0; i < work.heads.size(); ++i) {
    const std::size_t at = i * size;
    work.heads[i] = {.state = &state[at * size],
                     .r = &work.r[at],
                     .w = &work.w[at],
                     .k = &work.k[at],
                     .v = &work.v[at],
                     .kk = &work.kk[at],
                     .b = &work.b[at],
                     .y = &work.y[at],
                     .size = static_cast<std::uint32_t>(size)};
  }
  wkv(work.heads, pass.parallel);
}

// y += (sum over the head of r k r_k) v
void add_bonus(Workspace& work, View r_k) {
  const std::size_t size = work.r.size() / work.heads.size();
  const Span rk = work.out;
  for (std::size_t i = 0; i < rk.size(); ++i) rk[i] = work.r[i] * work.k[i];
  for (std::size_t first = 0; first < rk.size(); first += size) {
    const float bonus = ordered_dot(rk.subspan(first, size), r_k.subspan(first, size));
    for (std::size_t i = first; i < first + size; ++i) work.y[i] += bonus * work.v[i];
  }
}

}  // namespace

void time_mix(LayerPass& pass, const TimeMix7& att, const TimeMixing& layer) {
  Workspace& work = pass.work;
  const Shifted& shifted = layer.shifted;
  const Span w = work.w, a = work.a, g = work.g, y = work.y, out = work.out;
  pass.multiply(att.receptance, pass.mix(shifted, att.x_r), work.r);
  pass.lora(att.w, pass.mix(shifted, att.x_w), tanh_all, w);
  decay_all(w);  // exp(-exp(-0.5) sigmoid(.))
  pass.multiply(att.key, pass.mix(shifted, att.x_k), work.k);
  const View x_v = pass.mix(shifted, att.x_v);
  pass.multiply(att.value, x_v, work.v);
  mix_in_first_value(pass, att.v, x_v, layer.activation);
  pass.lora(att.a, pass.mix(shifted, att.x_a), identity, a);
  sigmoid_all(a);
  pass.lora(att.g, pass.mix(shifted, att.x_g), sigmoid_all, g);
  prepare_keys(work, att);
  update_state(pass, layer.state);
  group_norm(y, work.heads.size(), att.ln_x.with(kGroupNormEpsilon), y);
  add_bonus(work, att.r_k);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] *= g[i];
  pass.multiply(att.output, y, out);
  add_to(layer.activation.x, out);
}

std::size_t largest_rank(const TimeMix7& att) {
  std::uint32_t rank = 0;
  for (const Lora* lora : {&att.w, &att.a, &att.v, &att.g})
    rank = std::max(rank, lora->down.rows());
  return rank;
}

}  // namespace skein
