// Bandwidth: how fast this machine reads memory with the threads that a model gets: what decoding
// can at most reach. Owned by its command; used inside one Compute job.
#pragma once

#include "edge_node/tool/internal/large_memory.h"
#include "kernels/ops/parallel.h"

namespace skein::tool {

class Bandwidth {
 public:
  static constexpr std::size_t kBytes = std::size_t{512} << 20;  // far beyond any last-level cache

  Bandwidth();
  // Reads everything once. The sum keeps the compiler from reading nothing.
  std::uint64_t sweep(Parallel& parallel) const;

 private:
  LargeMemory memory_;
};

}  // namespace skein::tool
