// Sizes in bytes as people write them, on command lines and in configurations alike. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace skein {

inline constexpr std::uint64_t kMostByteSize = std::uint64_t{1} << 60;

// "900000", "64K", "300MB", "1.5G": a decimal number, then B, K, M, G or T in either case, which
// may be followed by B or iB; powers of 1024, and what is no whole byte is left out. Errc::kUsage
// names `where` for what is no size, for less than a byte and for more than kMostByteSize.
Result<std::uint64_t> parse_byte_size(std::string_view text, std::string where);

}  // namespace skein
