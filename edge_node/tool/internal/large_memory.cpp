#include "edge_node/tool/internal/large_memory.h"

#include <sys/mman.h>

#include <new>

namespace skein::tool {

LargeMemory::LargeMemory(std::size_t bytes) : bytes_(bytes) {
  void* const mapped =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  madvise(mapped, bytes, MADV_HUGEPAGE);  // a wish
  data_ = static_cast<std::byte*>(mapped);
}

LargeMemory::~LargeMemory() { munmap(data_, bytes_); }

}  // namespace skein::tool
