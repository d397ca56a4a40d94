// Blocks of neurons (kernels/ops/neurons.h) in plain formats: floats in increasing order. Included
// once per instruction set; see vector_kernels.h.
#pragma once

#include "kernels/isa/internal/tile_kernels.h"

namespace skein {
namespace {

// Outputs [col, col + 16) of rows of floats: `outputs` of them.
template <class Kind>
SKEIN_INLINE F32 plain_lanes(const std::byte* row, std::size_t col, std::size_t outputs) {
  const char* const at = text(row) + col * Kind::kBytes;
  if (outputs >= kLanes) return Kind::lanes(at);
  char padded[kLanes * Kind::kBytes] = {};
  __builtin_memcpy(padded, at, outputs * Kind::kBytes);
  return Kind::lanes(padded);
}

template <class Kind, std::size_t kVectors>
SKEIN_INLINE void add_columns(const NeuronRows& neurons, std::size_t col, float* y) {
  F32 sums[kVectors] = {};
  for (std::size_t i = 0; i < neurons.count; ++i) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = neurons.first_col + col + v * kLanes;
      sums[v] += Kind::lanes(text(neurons.rows[i]) + at * Kind::kBytes) * neurons.h[i];
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) {
    float* const out = y + col + v * kLanes;
    store(out, load<F32>(out) + sums[v]);
  }
}

template <class Kind>
void add_plain_neurons(const NeuronRows& neurons, float* y) {
  constexpr std::size_t kVectors = 4;
  std::size_t col = 0;
  for (; col + kVectors * kLanes <= neurons.cols; col += kVectors * kLanes) {
    add_columns<Kind, kVectors>(neurons, col, y);
  }
  for (; col < neurons.cols; col += kLanes) {
    const std::size_t outputs = neurons.cols - col;
    F32 sum = {};
    for (std::size_t i = 0; i < neurons.count; ++i) {
      sum += plain_lanes<Kind>(neurons.rows[i], neurons.first_col + col, outputs) * neurons.h[i];
    }
    for (std::size_t j = 0; j < kLanes && j < outputs; ++j) y[col + j] += sum[j];
  }
}

}  // namespace
}  // namespace skein
