#include "edge_node/tool/internal/process_memory.h"

#include <sys/resource.h>

namespace skein::tool {

std::uint64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace skein::tool
