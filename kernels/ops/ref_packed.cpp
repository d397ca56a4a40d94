// The one order of operations of q6, q5 and q4: that of q8 (ref_matvec.cpp), with each int8 code
// u * step - zero taken from the packed bits.
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/internal/packed.h"
#include "kernels/ops/reference.h"

namespace skein::reference {
namespace {

std::uint16_t load_head(const std::byte* at) {
  std::uint16_t head;
  std::memcpy(&head, at, sizeof head);
  return head;
}

template <unsigned bits>
void tiles(const void* data, std::size_t tile_count, std::size_t groups, const std::int8_t* codes,
           const float* scales, float* y) {
  const auto* const bytes = static_cast<const std::byte*>(data);
  const PackedShape shape{bits, Layout::kTiles, tile_count * kTileRows, groups * kGroup};
  for (std::size_t row = 0; row < shape.rows; ++row) {
    float sum = 0;
    for (std::size_t group = 0; group < groups; ++group) {
      const PackedGroup place(shape, row, group);
      const std::uint16_t head = load_head(bytes + place.head_at());
      std::int32_t dot = 0;
      for (std::size_t i = 0; i < kGroup; ++i) {
        const int code = static_cast<int>(place.code(bytes, i)) * packed_step(bits) - zero_of(head);
        dot += code * codes[group * kGroup + i];
      }
      const float scale = packed_scale(scale_code_of(head)) * scales[group];
      const float product = static_cast<float>(dot) * scale;
      sum += product;
    }
    y[row] = sum;
  }
}

template <unsigned bits>
void add_rows(const RowBatch& batch, std::size_t cols, float* y) {
  const PackedShape shape{bits, Layout::kRows, 1, cols};
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    for (std::size_t col = 0; col < cols; ++col) {
      const PackedGroup place(shape, 0, col / kGroup);
      const std::uint16_t head = load_head(batch.rows[i] + place.head_at());
      const float scale = batch.h[i] * packed_scale(scale_code_of(head));
      const int code = static_cast<int>(place.code(batch.rows[i], col % kGroup)) *  //
                           packed_step(bits) -
                       zero_of(head);
      const float product = static_cast<float>(code) * scale;
      y[col] += product;
    }
  }
}

}  // namespace

void tiles_q6(const void* data, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y) {
  tiles<6>(data, tile_count, groups, codes, scales, y);
}
void tiles_q5(const void* data, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y) {
  tiles<5>(data, tile_count, groups, codes, scales, y);
}
void tiles_q4(const void* data, std::uint32_t tile_count, std::uint32_t groups,
              const std::int8_t* codes, const float* scales, float* y) {
  tiles<4>(data, tile_count, groups, codes, scales, y);
}

void add_rows_q6(const RowBatch& batch, std::uint32_t cols, float* y) {
  add_rows<6>(batch, cols, y);
}
void add_rows_q5(const RowBatch& batch, std::uint32_t cols, float* y) {
  add_rows<5>(batch, cols, y);
}
void add_rows_q4(const RowBatch& batch, std::uint32_t cols, float* y) {
  add_rows<4>(batch, cols, y);
}

}  // namespace skein::reference
