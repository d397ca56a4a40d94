// Compiled for the aarch64 baseline.
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/internal/vector_kernels.h"

namespace skein {
const KernelTable kNeonKernels = kVectorKernels;
}  // namespace skein
