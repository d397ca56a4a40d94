#include "common/env/real/internal/program_text.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

namespace skein::real {

namespace {

// Segments that the loader never writes to. Its lock is held meanwhile: none comes or goes.
int drop_object(dl_phdr_info* object, std::size_t /*size*/, void* dropped) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type == PT_DYNAMIC) {
      const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + segment.p_vaddr);
      for (; entry->d_tag != DT_NULL; ++entry) {
        if (entry->d_tag == DT_TEXTREL) return 0;  // written to after all
      }
    }
  }
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t last = (begin + segment.p_memsz) / page * page;
    if (first >= last) continue;
    // What is no file's (the kernel's own page) is refused.
    if (::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED) == 0) {
      *static_cast<std::uint64_t*>(dropped) += last - first;
    }
  }
  return 0;
}

}  // namespace

std::uint64_t drop_program_text() {
  std::uint64_t dropped = 0;
  ::dl_iterate_phdr(drop_object, &dropped);
  return dropped;
}

}  // namespace skein::real
