// The scalar reference of every kernel that has fast versions: slow, plain, and by definition
// right. Signatures as in kernels/isa/kernel_table.h. Any thread; no allocation.
#pragma once

#include <cstdint>

namespace skein {
struct RowBatch;
struct WkvHead;
}  // namespace skein

namespace skein::reference {

void tiles_f32(const void* tiles, std::uint32_t tile_count, std::uint32_t cols, const float* x,
               float* y);
void tiles_bf16(const void* tiles, std::uint32_t tile_count, std::uint32_t cols, const float* x,
                float* y);
void tiles_f16(const void* tiles, std::uint32_t tile_count, std::uint32_t cols, const float* x,
               float* y);
void tiles_q8(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y);
void tiles_q6(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y);
void tiles_q5(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y);
void tiles_q4(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y);
void add_rows_f32(const RowBatch& batch, std::uint32_t cols, float* y);
void add_rows_bf16(const RowBatch& batch, std::uint32_t cols, float* y);
void add_rows_f16(const RowBatch& batch, std::uint32_t cols, float* y);
void add_rows_q8(const RowBatch& batch, std::uint32_t cols, float* y);
void add_rows_q6(const RowBatch& batch, std::uint32_t cols, float* y);
void add_rows_q5(const RowBatch& batch, std::uint32_t cols, float* y);
void add_rows_q4(const RowBatch& batch, std::uint32_t cols, float* y);
void quantize(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales);
void wkv(const WkvHead& head);

}  // namespace skein::reference
