// SimDisk: a FileSystem behind the Disk door: latency, errors, rot. One per epoch of a node.
#pragma once

#include "common/env/disk.h"
#include "simulations/world/internal/core.h"
#include "simulations/world/internal/file_system.h"
#include "simulations/world/internal/senses.h"
#include "simulations/world/internal/sim_block_reads.h"

namespace skein::sim {

class SimDisk final : public Disk {
 public:
  SimDisk(Core& core, FileSystem& files, std::shared_ptr<const Epoch> epoch, JobClock& clock,
          BlockCounters& counters);

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

  // For the files it opens.
  Task<Result<void>> read(InodePtr inode, std::string path, std::uint64_t offset,
                          MutableByteView all);
  Task<Result<void>> write(InodePtr inode, std::string path, std::uint64_t offset, ByteView all);
  Task<Result<void>> sync(InodePtr inode, std::string path);

 private:
  Task<Result<void>> pass(std::uint64_t bytes);  // the time it takes; fails if the node died
  Result<void> alive() const;
  void rot(Inode& inode, std::uint64_t offset, std::uint64_t size, const std::string& path);
  void trace(std::string_view kind, const std::string& path, std::uint64_t number = 0);

  Core& core_;
  FileSystem& files_;
  std::shared_ptr<const Epoch> epoch_;
  SimRandom random_;
  BlockDevice blocks_;
};

}  // namespace skein::sim
