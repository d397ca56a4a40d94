// The fast kernels, once for every instruction set: sixteen float lanes as a clang vector type,
// which the compiler splits into what the target has (one zmm, two ymm, four NEON registers). Lane
// j is row j of a tile, or element j modulo 16 of a sum, so no lane ever needs another's value
// except in the tree of norm.h, and every operation rounds exactly as in the reference.
//
// Included by one .cpp per instruction set, compiled with its own flags. Nothing here has external
// linkage and nothing calls an inline function of a standard header: the linker would be free to
// keep the copy that was compiled with AVX-512 and hand it to a program running without.
#pragma once

#include "kernels/isa/internal/code_streams.h"
#include "kernels/isa/internal/elementwise.h"
#include "kernels/isa/internal/lanes.h"
#include "kernels/isa/internal/neuron_kernels.h"
#include "kernels/isa/internal/plain_neurons.h"
#include "kernels/isa/internal/quantize.h"
#include "kernels/isa/internal/tile_kernels.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/wkv.h"

namespace skein {
namespace {

// The sum over one row of state times `other`, in the order of norm.h.
SKEIN_INLINE float dot_row(const float* row, const float* other, std::uint32_t size) {
  F32 lanes = {};
  for (std::uint32_t j = 0; j < size; j += kLanes)
    lanes += load<F32>(row + j) * load<F32>(other + j);
  return tree_sum(lanes);
}

void wkv(const WkvHead& head) {
  for (std::uint32_t i = 0; i < head.size; ++i) {
    float* const row = head.state + std::size_t{i} * head.size;
    for (std::uint32_t j = 0; head.soon != nullptr && j < head.size; j += kLanes) {
      __builtin_prefetch(head.soon + std::size_t{i} * head.size + j, 0, 2);
    }
    const float removed = dot_row(row, head.kk, head.size);
    F32 lanes = {};
    for (std::uint32_t j = 0; j < head.size; j += kLanes) {
      const F32 kept = load<F32>(row + j) * load<F32>(head.w + j);
      const F32 cleared = kept - load<F32>(head.b + j) * removed;
      const F32 updated = cleared + load<F32>(head.k + j) * head.v[i];
      store(row + j, updated);
      lanes += updated * load<F32>(head.r + j);
    }
    head.y[i] = tree_sum(lanes);
  }
}

constexpr KernelTable kVectorKernels = {
    .tiles_f32 = plain_tiles<Float32>,
    .tiles_bf16 = plain_tiles<Bfloat16>,
    .tiles_f16 = plain_tiles<Float16>,
    .tiles_q8 = grouped_tiles<8>,
    .tiles_q6 = grouped_tiles<6>,
    .tiles_q5 = grouped_tiles<5>,
    .tiles_q4 = grouped_tiles<4>,
    .neurons_f32 = add_plain_neurons<Float32>,
    .neurons_bf16 = add_plain_neurons<Bfloat16>,
    .neurons_f16 = add_plain_neurons<Float16>,
    .neurons_q8 = add_grouped_neurons<8>,
    .neurons_q6 = add_grouped_neurons<6>,
    .neurons_q5 = add_grouped_neurons<5>,
    .neurons_q4 = add_grouped_neurons<4>,
    .quantize = quantize,
    .wkv = wkv,
    .prepare_heads = prepare_heads,
    .finish_heads = finish_heads,
    .tanh_all = tanh_all,
    .sigmoid_all = sigmoid_all,
    .silu_all = silu_all,
    .relu_squared_all = relu_squared_all,
    .decay_all = decay_all,
    .exp_decay_all = exp_decay_all,
    .shift_mix = shift_mix,
    .normalize = normalize,
    .decode_streams = decode_streams,
};

}  // namespace
}  // namespace skein
