// The scalar reference of every kernel that has fast versions: slow, plain, and by definition
// right. Signatures as in kernels/isa/kernel_table.h. Any thread; no allocation.
#pragma once

#include <cstdint>

namespace skein {
struct WkvHead;
}

namespace skein::reference {

void tiles_f32(const void* tiles, std::uint32_t tile_count, std::uint32_t cols, const float* x,
               float* y);
void tiles_bf16(const void* tiles, std::uint32_t tile_count, std::uint32_t cols, const float* x,
                float* y);
void tiles_f16(const void* tiles, std::uint32_t tile_count, std::uint32_t cols, const float* x,
               float* y);
void tiles_q8(const void* tiles, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y);
void add_row_f32(const void* row, std::uint32_t cols, float h, float* y);
void add_row_bf16(const void* row, std::uint32_t cols, float h, float* y);
void add_row_f16(const void* row, std::uint32_t cols, float h, float* y);
void add_row_q8(const void* codes, const void* scales, std::uint32_t cols, float h, float* y);
void wkv(const WkvHead& head);

}  // namespace skein::reference
