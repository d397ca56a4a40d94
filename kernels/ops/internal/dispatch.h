// The current instruction set's loop for a format. Private to kernels/ops; any thread.
#pragma once

#include "kernels/isa/kernel_table.h"
#include "kernels/ops/format.h"

namespace skein {

inline KernelTable::Tiles tiles_kernel(const KernelTable& kernels, Format format) {
  switch (format) {
    case Format::kF32:
      return kernels.tiles_f32;
    case Format::kBf16:
      return kernels.tiles_bf16;
    case Format::kF16:
      return kernels.tiles_f16;
    case Format::kQ8:
      return kernels.tiles_q8;
    case Format::kQ6:
      return kernels.tiles_q6;
    case Format::kQ5:
      return kernels.tiles_q5;
    case Format::kQ4:
      break;
  }
  return kernels.tiles_q4;
}

inline KernelTable::AddNeurons neurons_kernel(const KernelTable& kernels, Format format) {
  switch (format) {
    case Format::kF32:
      return kernels.neurons_f32;
    case Format::kBf16:
      return kernels.neurons_bf16;
    case Format::kF16:
      return kernels.neurons_f16;
    case Format::kQ8:
      return kernels.neurons_q8;
    case Format::kQ6:
      return kernels.neurons_q6;
    case Format::kQ5:
      return kernels.neurons_q5;
    case Format::kQ4:
      break;
  }
  return kernels.neurons_q4;
}

}  // namespace skein
