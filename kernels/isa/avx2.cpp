// Compiled with -mavx2 -mf16c.
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/internal/vector_kernels.h"

namespace skein {
const KernelTable kAvx2Kernels = kVectorKernels;
}  // namespace skein
