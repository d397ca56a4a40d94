// LayerPass: the operations that the layers of all versions are made of, over one workspace; and
// the time mixing of each version. Lives for one pass over some layers; one thread.
#pragma once

#include "common/model/internal/workspace.h"

namespace skein {

using Span = std::span<float>;
using View = std::span<const float>;

void add_to(Span x, View more);

// A normed vector of this token and of the one before.
struct Shifted {
  View now;
  View previous;
};

class LayerPass {
 public:
  LayerPass(Workspace& workspace, Parallel& threads) : work(workspace), parallel(threads) {}

  // y = W x, with x in int8 groups when W is.
  void multiply(const Matrix& w, View x, Span y);
  // Token shift: now + mu (previous - now), in work.mixed until the next call.
  View mix(const Shifted& x, View mu);
  // y = bias + up f(down x)
  using Elementwise = void (*)(Span);
  void lora(const Lora& weights, View x, Elementwise f, Span y);
  // x += value relu(key x_k)^2, times sigmoid(receptance x_r) where there is that gate; reads only
  // the value rows of neurons that fired.
  void channel_mix(const ChannelMix& ffn, const Shifted& shifted, Span x);

  Workspace& work;
  Parallel& parallel;
};

// What time mixing reads and changes: the shifted input, the residual stream, the layer's state.
struct TimeMixing {
  Shifted shifted;
  Activation& activation;
  Span state;
};
void time_mix(LayerPass& pass, const TimeMix4& att, const TimeMixing& layer);
void time_mix(LayerPass& pass, const TimeMix5& att, const TimeMixing& layer);
void time_mix(LayerPass& pass, const TimeMix6& att, const TimeMixing& layer);
void time_mix(LayerPass& pass, const TimeMix7& att, const TimeMixing& layer);

// The end of time mixing in RWKV-5 and 6, from work.r, w (decay), k, v and g:
// x += output (group norm of the heads' y, times g).
struct DecayAttention {
  View bonus;
  const Norm& ln_x;
  const Matrix& output;
  float epsilon = kGroupNormEpsilon;
  bool gated = true;
};
void attend(LayerPass& pass, const DecayAttention& att, const TimeMixing& layer);

// The longest vector between the two matrices of a LoRA.
std::size_t largest_rank(const TimeMix4& att);
std::size_t largest_rank(const TimeMix5& att);
std::size_t largest_rank(const TimeMix6& att);
std::size_t largest_rank(const TimeMix7& att);

}  // namespace skein
