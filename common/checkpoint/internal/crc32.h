// CRC-32 as in zip (polynomial 0xEDB88320), eight bytes at a time. Pure; any thread.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"

namespace skein {
std::uint32_t crc32(ByteView bytes);
}
