// What allocation_count.h counts, which another source of the program includes. Tests only.
#pragma once

#include <atomic>
#include <cstdint>

namespace skein::test {
inline std::atomic<bool> counts_allocations{true};
inline std::atomic<std::uint64_t> allocations{0};
inline std::atomic<std::uint64_t> allocated_bytes{0};
}  // namespace skein::test
