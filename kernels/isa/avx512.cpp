// Compiled with -mavx512f, bw, dq, vl and vnni.
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/internal/vector_kernels.h"

namespace skein {
const KernelTable kAvx512Kernels = kVectorKernels;
}  // namespace skein
