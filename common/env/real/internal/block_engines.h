// Which BlockReads a file gets. Any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>

#include "common/env/real/internal/block_file.h"

namespace skein::real {

Result<std::unique_ptr<BlockReads>> open_block_reads(const std::string& path, const BlockIo& io);

// `deadline` from now, without overflow.
inline std::chrono::steady_clock::time_point moment_after(std::chrono::nanoseconds deadline) {
  constexpr std::chrono::nanoseconds kLongest = std::chrono::hours(24 * 365);
  return std::chrono::steady_clock::now() +
         std::clamp(deadline, std::chrono::nanoseconds{0}, kLongest);
}

}  // namespace skein::real
