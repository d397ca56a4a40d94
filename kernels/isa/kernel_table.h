// KernelTable: the inner loops of one instruction set, all with the bits of kernels/ops/ref_*.cpp.
// Constant data; any thread. kernels/ops dispatches through it; nobody else needs it but tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/isa.h"

namespace skein {

struct WkvHead;  // kernels/ops/wkv.h

// Up to four rows of a kRows matrix that are added in one pass over the outputs.
struct RowBatch {
  static constexpr std::uint32_t kMost = 4;
  const std::byte* rows[kMost] = {};  // at the first column that is wanted
  float h[kMost] = {};
  std::uint32_t count = 0;
  const std::byte* soon[kMost] = {};  // rows of the next batch, to be fetched meanwhile
  std::size_t scales_at = 0;  // q8: bytes from rows[i] to the f16 scale of that column's group
};

struct KernelTable {
  // y[0, 16 * tile_count) = W x over whole consecutive tiles; x has `cols` floats.
  using Tiles = void (*)(const void* tiles, std::uint32_t tile_count, std::uint32_t cols,
                         const float* x, float* y);
  // The same for q8 to q4: codes and scales are the activation's, `groups` groups of 32.
  using TilesQ8 = void (*)(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
                           const std::int8_t* codes, const float* scales, float* y);
  // y[j] += w(i, j) * h(i) for each row i of the batch in turn, j in [0, cols).
  // q8 to q4: y[j] += float(code) * (h * scale of the group).
  using AddRows = void (*)(const RowBatch& batch, std::uint32_t cols, float* y);
  // Whole groups of 32: see quantize_activation.
  using Quantize = void (*)(const float* x, std::uint32_t groups, std::int8_t* codes,
                            float* scales);
  // head.size is a multiple of 16.
  using Wkv = void (*)(const WkvHead& head);

  Tiles tiles_f32;
  Tiles tiles_bf16;
  Tiles tiles_f16;
  TilesQ8 tiles_q8;
  TilesQ8 tiles_q6;
  TilesQ8 tiles_q5;
  TilesQ8 tiles_q4;
  AddRows add_rows_f32;
  AddRows add_rows_bf16;
  AddRows add_rows_f16;
  AddRows add_rows_q8;
  AddRows add_rows_q6;
  AddRows add_rows_q5;
  AddRows add_rows_q4;
  Quantize quantize;
  Wkv wkv;
};

const KernelTable& kernel_table(Isa isa);  // isa must be one of supported_isas()
const KernelTable& current_kernels();

}  // namespace skein
