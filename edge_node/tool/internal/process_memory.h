// What this process takes. Loop thread.
#pragma once

#include <cstdint>

#include "common/env/pressure/pressure.h"

namespace skein::tool {

// The most that was resident so far, in bytes.
std::uint64_t peak_memory(PressureGauge& gauge);
// What it will hold without a model, once it has given back what it can; and that peak.
ProcessMemory lean_process(PressureGauge& gauge);

}  // namespace skein::tool
