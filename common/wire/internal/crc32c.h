// CRC-32C (Castagnoli), in software. A bug detector for frames; TLS is what authenticates them.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"

namespace skein::wire {

// `crc` is the value of what came before, 0 at the beginning.
std::uint32_t crc32c(ByteView bytes, std::uint32_t crc = 0);

}  // namespace skein::wire
