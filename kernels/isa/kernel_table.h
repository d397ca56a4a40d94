// KernelTable: the inner loops of one instruction set, all with the bits of kernels/ops/ref_*.cpp.
// Constant data; any thread. kernels/ops dispatches through it; nobody else needs it but tests.
#pragma once

#include <cstdint>

#include "kernels/isa/isa.h"

namespace skein {

struct WkvHead;  // kernels/ops/wkv.h

struct KernelTable {
  // y[0, 16 * tile_count) = W x over whole consecutive tiles; x has `cols` floats.
  using Tiles = void (*)(const void* tiles, std::uint32_t tile_count, std::uint32_t cols,
                         const float* x, float* y);
  // The same for q8: codes and scales are the activation's, `groups` groups of 32.
  using TilesQ8 = void (*)(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
                           const std::int8_t* codes, const float* scales, float* y);
  // y[j] += w[j] * h for j in [0, cols).
  using AddRow = void (*)(const void* row, std::uint32_t cols, float h, float* y);
  // y[j] += float(code[j]) * (h * scale[j / 32]); scales are f16.
  using AddRowQ8 = void (*)(const void* codes, const void* scales, std::uint32_t cols, float h,
                            float* y);
  // head.size is a multiple of 16.
  using Wkv = void (*)(const WkvHead& head);

  Tiles tiles_f32;
  Tiles tiles_bf16;
  Tiles tiles_f16;
  TilesQ8 tiles_q8;
  AddRow add_row_f32;
  AddRow add_row_bf16;
  AddRow add_row_f16;
  AddRowQ8 add_row_q8;
  Wkv wkv;
};

const KernelTable& kernel_table(Isa isa);  // isa must be one of supported_isas()
const KernelTable& current_kernels();

}  // namespace skein
