// The tables that this build may hold; each is defined by the .cpp of its instruction set.
#pragma once

#include "kernels/isa/kernel_table.h"

namespace skein {

extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAmxKernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotKernels;

}  // namespace skein
