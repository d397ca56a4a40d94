#include "common/env/real/block_io.h"

namespace skein {

Result<BlockIo> parse_block_io(std::string_view text) {
  BlockIo io;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view word = rest.substr(0, comma);
    const bool engine = word == "io_uring" || word == "pread";
    const bool cache = word == "direct" || word == "buffered";
    if ((!engine && !cache) || (engine && io.engine != BlockEngine::kBest) ||
        (cache && io.cache != PageCacheUse::kBest)) {
      return fail(Errc::kUsage, "no such way of reading: " + std::string(text), "SKEIN_IO",
                  "use io_uring or pread, and direct or buffered, with a comma between");
    }
    if (engine) io.engine = word == "pread" ? BlockEngine::kPread : BlockEngine::kUring;
    if (cache) io.cache = word == "direct" ? PageCacheUse::kDirect : PageCacheUse::kBuffered;
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return io;
}

}  // namespace skein
