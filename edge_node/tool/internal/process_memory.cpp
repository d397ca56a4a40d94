#include "edge_node/tool/internal/process_memory.h"

#include <sys/resource.h>

namespace skein::tool {

// The system's own count begins with what the starter of this program held before it was this
// program; it serves where there is no better one.
std::uint64_t peak_memory(PressureGauge& gauge) {
  if (const auto process = gauge.sample().process) return process->peak_bytes;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

ProcessMemory lean_process(PressureGauge& gauge) {
  gauge.give_back();
  const std::uint64_t peak = peak_memory(gauge);
  const auto process = gauge.sample().process;
  return {process ? process->without_model() : peak, peak};
}

}  // namespace skein::tool
