// The fast kernels, once for every instruction set: sixteen float lanes as a clang vector type,
// which the compiler splits into what the target has (one zmm, two ymm, four NEON registers). Lane
// j is row j of a tile, or element j modulo 16 of a sum, so no lane ever needs another's value
// except in the tree of norm.h, and every operation rounds exactly as in the reference.
//
// Included by one .cpp per instruction set, compiled with its own flags. Nothing here has external
// linkage and nothing calls an inline function of a standard header: the linker would be free to
// keep the copy that was compiled with AVX-512 and hand it to a program running without.
#pragma once

#include "kernels/isa/internal/grouped_kernels.h"
#include "kernels/isa/internal/lanes.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/wkv.h"

namespace skein {
namespace {

struct Float32 {
  static constexpr std::size_t kBytes = 4;
  SKEIN_INLINE static F32 lanes(const char* at) { return load<F32>(at); }
};
struct Bfloat16 {
  static constexpr std::size_t kBytes = 2;
  SKEIN_INLINE static F32 lanes(const char* at) {
    return as<F32>(__builtin_convertvector(load<U16>(at), U32) << 16);
  }
};
struct Float16 {
  static constexpr std::size_t kBytes = 2;
  SKEIN_INLINE static F32 lanes(const char* at) {
    return __builtin_convertvector(load<F16>(at), F32);
  }
};

template <class Kind>
void tiles(const void* data, std::uint32_t tile_count, std::uint32_t cols, const float* x,
           float* y) {
  constexpr std::size_t kColumn = kLanes * Kind::kBytes;
  const char* at = static_cast<const char*>(data);
  for (std::uint32_t tile = 0; tile < tile_count; ++tile) {
    F32 sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};
    std::uint32_t col = 0;
    for (; col + 4 <= cols; col += 4, at += 4 * kColumn) {
      for (std::size_t line = 0; line < 4 * kColumn; line += 64) prefetch(at + kAhead + line);
      sum0 += Kind::lanes(at) * x[col];
      sum1 += Kind::lanes(at + kColumn) * x[col + 1];
      sum2 += Kind::lanes(at + 2 * kColumn) * x[col + 2];
      sum3 += Kind::lanes(at + 3 * kColumn) * x[col + 3];
    }
    if (col < cols) sum0 += Kind::lanes(at) * x[col];
    if (col + 1 < cols) sum1 += Kind::lanes(at + kColumn) * x[col + 1];
    if (col + 2 < cols) sum2 += Kind::lanes(at + 2 * kColumn) * x[col + 2];
    at += (cols - col) * kColumn;
    store(y + tile * kLanes, (sum0 + sum1) + (sum2 + sum3));
  }
}

struct Int8Groups {
  static constexpr std::size_t kBytes = kLanes * (32 + 2);

  SKEIN_INLINE static std::int32_t code_sum(const std::int8_t* codes) {
    return group_offset(codes);
  }
  SKEIN_INLINE static F32 scales(const char* at) { return Float16::lanes(at); }
  SKEIN_INLINE static I32 dot(const char* at, const std::int8_t* codes, std::int32_t sum) {
    return dot_group(at + kLanes * 2, codes, sum);
  }
};

template <std::uint32_t rows>
SKEIN_INLINE void fetch_soon(const RowBatch& batch, std::size_t at) {
  if (rows != RowBatch::kMost) return;
  for (const std::byte* row : batch.soon) prefetch(text(row) + at);
}

// y[0, 16) with each row's term added in turn; `rows` is a constant, so the loop unrolls.
template <class Kind, std::uint32_t rows>
SKEIN_INLINE F32 with_rows(F32 y, const RowBatch& batch, std::uint32_t first, std::size_t at) {
  for (std::uint32_t i = 0; i < rows; ++i) {
    y += Kind::lanes(text(batch.rows[first + i]) + at) * batch.h[first + i];
  }
  return y;
}

// Rows [first, first + rows) of the batch, each output loaded and stored once.
template <class Kind, std::uint32_t rows>
void add_some(const RowBatch& shared, std::uint32_t first, std::uint32_t cols, float* y) {
  const RowBatch batch = shared;  // a copy that no store to y can touch
  std::uint32_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    const std::size_t at = std::size_t{col} * Kind::kBytes;
    fetch_soon<rows>(batch, at);
    store(y + col, with_rows<Kind, rows>(load<F32>(y + col), batch, first, at));
  }
  if (col == cols) return;
  float last[kLanes] = {};
  __builtin_memcpy(last, y + col, (cols - col) * sizeof(float));
  F32 sums = load<F32>(last);
  for (std::uint32_t i = 0; i < rows; ++i) {
    char elements[kLanes * Kind::kBytes] = {};
    __builtin_memcpy(elements, text(batch.rows[first + i]) + std::size_t{col} * Kind::kBytes,
                     (cols - col) * Kind::kBytes);
    sums += Kind::lanes(elements) * batch.h[first + i];
  }
  store(last, sums);
  __builtin_memcpy(y + col, last, (cols - col) * sizeof(float));
}

template <class Kind>
void add_rows(const RowBatch& batch, std::uint32_t cols, float* y) {
  if (batch.count == RowBatch::kMost) return add_some<Kind, RowBatch::kMost>(batch, 0, cols, y);
  for (std::uint32_t i = 0; i < batch.count; ++i) add_some<Kind, 1>(batch, i, cols, y);
}

SKEIN_INLINE float widen_one(const char* at) {
  _Float16 half;
  __builtin_memcpy(&half, at, sizeof half);
  return static_cast<float>(half);
}

// The terms of 32 columns at `col`, added to y[0, 32).
template <std::uint32_t rows>
SKEIN_INLINE void add_group(const RowBatch& batch, std::uint32_t first, std::uint32_t col,
                            float* y) {
  F32 low = load<F32>(y);
  F32 high = load<F32>(y + kLanes);
  fetch_soon<rows>(batch, col);
  for (std::uint32_t i = first; i < first + rows; ++i) {
    const char* codes = text(batch.rows[i]) + col;
    const float scale =
        batch.h[i] * widen_one(text(batch.rows[i]) + batch.scales_at + col / 32 * 2);
    low += __builtin_convertvector(load<I8>(codes), F32) * scale;
    high += __builtin_convertvector(load<I8>(codes + kLanes), F32) * scale;
  }
  store(y, low);
  store(y + kLanes, high);
}

template <std::uint32_t rows>
void add_some_q8(const RowBatch& shared, std::uint32_t first, std::uint32_t cols, float* y) {
  const RowBatch batch = shared;  // a copy that no store to y can touch
  std::uint32_t col = 0;
  for (; col + 32 <= cols; col += 32) add_group<rows>(batch, first, col, y + col);
  if (col == cols) return;
  float last[32] = {};  // codes are padded to whole groups, y is not
  __builtin_memcpy(last, y + col, (cols - col) * sizeof(float));
  add_group<rows>(batch, first, col, last);
  __builtin_memcpy(y + col, last, (cols - col) * sizeof(float));
}

void add_rows_q8(const RowBatch& batch, std::uint32_t cols, float* y) {
  if (batch.count == RowBatch::kMost) return add_some_q8<RowBatch::kMost>(batch, 0, cols, y);
  for (std::uint32_t i = 0; i < batch.count; ++i) add_some_q8<1>(batch, i, cols, y);
}

void quantize(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales) {
  constexpr float kRound = 12582912.0F;
  for (std::uint32_t group = 0; group < groups; ++group, x += 32, codes += 32) {
    const F32 low = load<F32>(x);
    const F32 high = load<F32>(x + kLanes);
    const float largest = tree_max(larger(larger(F32{}, magnitude(low)), magnitude(high)));
    const float inverse = 127.0F / largest;
    const bool zero = !(largest > 0) || inverse == __builtin_inff();
    scales[group] = zero ? 0.0F : largest / 127.0F;
    for (std::size_t half = 0; half < 2; ++half) {
      const F32 scaled = zero ? F32{} : (half == 0 ? low : high) * inverse;
      const I32 code = as<I32>(scaled + kRound) - 0x4B400000;
      store(codes + half * kLanes, __builtin_convertvector(between(code, -127, 127), I8));
    }
  }
}

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
    .tiles_f32 = tiles<Float32>,
    .tiles_bf16 = tiles<Bfloat16>,
    .tiles_f16 = tiles<Float16>,
    .tiles_q8 = tiles_grouped<Int8Groups>,
    .tiles_q6 = tiles_grouped<PackedGroups<6>>,
    .tiles_q5 = tiles_grouped<PackedGroups<5>>,
    .tiles_q4 = tiles_grouped<PackedGroups<4>>,
    .add_rows_f32 = add_rows<Float32>,
    .add_rows_bf16 = add_rows<Bfloat16>,
    .add_rows_f16 = add_rows<Float16>,
    .add_rows_q8 = add_rows_q8,
    .add_rows_q6 = add_rows_packed<6>,
    .add_rows_q5 = add_rows_packed<5>,
    .add_rows_q4 = add_rows_packed<4>,
    .quantize = quantize,
    .wkv = wkv,
};

}  // namespace
}  // namespace skein
