// KernelTable: the inner loops of one instruction set, all with the bits of kernels/ops/ref_*.cpp.
// Constant data; any thread. kernels/ops dispatches through it; nobody else needs it but tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/isa.h"

namespace skein {

struct Inputs;       // kernels/ops/matmul.h
struct CodeStreams;  // kernels/codecs/streams.h
struct HeadInputs;
struct HeadOutputs;
struct WkvHead;  // kernels/ops/wkv.h

// Rows of a kRows matrix with what they are multiplied by: at most kNeuronBlock of them.
struct NeuronRows {
  const std::byte* const* rows = nullptr;  // each at its start
  const float* h = nullptr;
  std::uint32_t count = 0;
  float largest = 0;            // q8 to q4: no |h * scale| is above it
  std::uint32_t row_cols = 0;   // outputs of a whole row: tells where its parts lie
  std::uint32_t first_col = 0;  // a multiple of 32
  std::uint32_t cols = 0;       // outputs wanted; whole groups, or up to the row's end
  // Rows that will be wanted next, to be fetched meanwhile: these bytes of each.
  struct Range {
    std::uint32_t from = 0;
    std::uint32_t bytes = 0;
  };
  const std::byte* const* soon = nullptr;
  std::uint32_t soon_count = 0;
  Range soon_ranges[2] = {};
};

// Consecutive whole tiles times input vectors: y[i * y_stride + j] for vector i, output j.
struct TileProduct {
  const void* tiles = nullptr;
  std::uint32_t tile_count = 0;
  const Inputs* x = nullptr;
  float* y = nullptr;
  std::size_t y_stride = 0;
};

struct KernelTable {
  using Tiles = void (*)(const TileProduct& product);
  // y[j] += the rows' share of output first_col + j: see kernels/ops/neurons.h.
  using AddNeurons = void (*)(const NeuronRows& neurons, float* y);
  // Whole groups of 32: see quantize_input.
  using Quantize = void (*)(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales,
                            std::int32_t* sums);
  using Wkv = void (*)(const WkvHead& head);  // head.size is a multiple of 16
  using PrepareHeads = void (*)(const HeadInputs& in);
  using FinishHeads = void (*)(const HeadOutputs& out);
  using Elementwise = void (*)(float* x, std::size_t count);
  // out = x + mix * (previous - x)
  using ShiftMix = void (*)(const float* x, const float* previous, const float* mix, float* out,
                            std::size_t count);
  // out = (x - mean) / sqrt(variance + epsilon) * weight + bias
  using Normalize = void (*)(const float* x, std::size_t count, const float* weight,
                             const float* bias, float epsilon, float* out);

  using DecodeStreams = void (*)(CodeStreams& in);

  Tiles tiles_f32;
  Tiles tiles_bf16;
  Tiles tiles_f16;
  Tiles tiles_q8;
  Tiles tiles_q6;
  Tiles tiles_q5;
  Tiles tiles_q4;
  AddNeurons neurons_f32;
  AddNeurons neurons_bf16;
  AddNeurons neurons_f16;
  AddNeurons neurons_q8;
  AddNeurons neurons_q6;
  AddNeurons neurons_q5;
  AddNeurons neurons_q4;
  Quantize quantize;
  Wkv wkv;
  PrepareHeads prepare_heads;
  FinishHeads finish_heads;
  Elementwise tanh_all;
  Elementwise sigmoid_all;
  Elementwise silu_all;
  Elementwise relu_squared_all;
  Elementwise decay_all;
  Elementwise exp_decay_all;
  ShiftMix shift_mix;
  Normalize normalize;
  DecodeStreams decode_streams;
};

const KernelTable& kernel_table(Isa isa);  // isa must be one of supported_isas()
const KernelTable& current_kernels();

}  // namespace skein
