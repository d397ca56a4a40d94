// RealDisk: POSIX files. Blocking calls go to a few worker threads, so that a slow disk never holds
// the loop. Owned by RealEnv.
#pragma once

#include "common/env/block_reads.h"
#include "common/env/disk.h"
#include "common/env/real/block_io.h"
#include "common/env/real/internal/workers.h"

namespace skein::real {

class RealDisk final : public Disk {
 public:
  RealDisk(boost::asio::io_context& loop, Result<BlockIo> block_io);
  void join() { workers_.join(); }

  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override;
  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override;
  Result<std::unique_ptr<BlockReads>> open_blocks(const std::string& path) override;
  Task<Result<void>> rename(std::string from, std::string to) override;
  Task<Result<void>> remove(std::string path) override;
  Task<Result<void>> make_directories(std::string path) override;
  Task<Result<void>> sync_directory(std::string path) override;
  Task<Result<std::vector<std::string>>> list(std::string path) override;
  Result<bool> exists(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

  static constexpr std::size_t kThreads = 4;

 private:
  Workers workers_;
  Result<BlockIo> block_io_;  // an error is what open_blocks() answers
};

}  // namespace skein::real
