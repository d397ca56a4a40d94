// The scalar reference of every kernel that has fast versions: slow, plain, and by definition
// right. Signatures as in kernels/isa/kernel_table.h. Any thread; no allocation.
#pragma once

#include <cstdint>

namespace skein {
struct NeuronRows;
struct TileProduct;
struct WkvHead;
}  // namespace skein

namespace skein::reference {

void tiles_f32(const TileProduct& product);
void tiles_bf16(const TileProduct& product);
void tiles_f16(const TileProduct& product);
void tiles_q8(const TileProduct& product);
void tiles_q6(const TileProduct& product);
void tiles_q5(const TileProduct& product);
void tiles_q4(const TileProduct& product);
void neurons_f32(const NeuronRows& neurons, float* y);
void neurons_bf16(const NeuronRows& neurons, float* y);
void neurons_f16(const NeuronRows& neurons, float* y);
void neurons_q8(const NeuronRows& neurons, float* y);
void neurons_q6(const NeuronRows& neurons, float* y);
void neurons_q5(const NeuronRows& neurons, float* y);
void neurons_q4(const NeuronRows& neurons, float* y);
void quantize(const float* x, std::uint32_t groups, std::int8_t* codes, float* scales,
              std::int32_t* sums);
void wkv(const WkvHead& head);

}  // namespace skein::reference
