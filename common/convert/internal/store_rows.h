// What store_rows (plan.h) and the choice of a format share. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace skein::internal {

// An f16 scale times two, so many times; nullopt = f16 cannot hold that.
std::optional<std::uint16_t> doubled_scale(std::uint16_t scale, std::uint32_t times);

}  // namespace skein::internal
