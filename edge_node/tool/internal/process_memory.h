// What this process takes. Any thread.
#pragma once

#include <cstdint>

namespace skein::tool {

// The most that was resident so far, in bytes.
std::uint64_t peak_memory();

}  // namespace skein::tool
