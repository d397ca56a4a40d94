// Compiled with -march=armv8.2-a+dotprod+i8mm.
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/internal/vector_kernels.h"

namespace skein {
const KernelTable kNeonI8mmKernels = kVectorKernels;
}  // namespace skein
