// BlockIo: how RealDisk reads blocks. Value; any thread. Left alone it takes the best there is:
// io_uring, or a pool of pread threads where the kernel has none or forbids it; past the page
// cache, or through it where the file system cannot.
#pragma once

#include <string_view>

#include "common/base/result.h"

namespace skein {

enum class BlockEngine : unsigned char { kBest, kUring, kPread };
enum class PageCacheUse : unsigned char { kBest, kDirect /* O_DIRECT */, kBuffered };

// What is named here and cannot be had is an error when a file is opened, never replaced.
struct BlockIo {
  BlockEngine engine = BlockEngine::kBest;
  PageCacheUse cache = PageCacheUse::kBest;
  friend bool operator==(const BlockIo&, const BlockIo&) = default;
};

// "io_uring", "pread", "direct", "buffered", or an engine and a way with a comma between; empty is
// the best. SKEIN_IO holds such a text. Errc::kUsage.
Result<BlockIo> parse_block_io(std::string_view text);

}  // namespace skein
