// Compiled with -march=armv8.2-a+dotprod.
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/internal/vector_kernels.h"

namespace skein {
const KernelTable kNeonDotKernels = kVectorKernels;
}  // namespace skein
