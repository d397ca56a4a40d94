// Program text: what the system maps of the program and its libraries and nobody writes to. Any
// thread.
#pragma once

#include <cstdint>

namespace skein::real {

// Takes it out of this process's memory, page by page; what is run or read again comes again, from
// the page cache or the file. Pages that were written to (relocations) are left alone. Bytes that
// the mappings span.
std::uint64_t drop_program_text();

}  // namespace skein::real
