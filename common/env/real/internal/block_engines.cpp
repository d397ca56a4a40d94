#include "common/env/real/internal/block_engines.h"

#include <cstring>

#include "common/env/real/internal/pool_reads.h"
#include "common/env/real/internal/uring_reads.h"

namespace skein::real {

Result<std::unique_ptr<BlockReads>> open_block_reads(const std::string& path, const BlockIo& io) {
  TRY(BlockFile file, BlockFile::open(path, io.cache));
  if (io.engine != BlockEngine::kPread) {
    auto ring = Ring::make();
    if (ring) return std::make_unique<UringReads>(std::move(file), std::move(*ring));
    if (io.engine == BlockEngine::kUring) return tl::unexpected<Error>(std::move(ring.error()));
  }
  return std::make_unique<PoolReads>(std::move(file));
}

}  // namespace skein::real
