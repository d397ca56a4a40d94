// SimBlockReads: BlockReads of a simulated file, for jobs that run inside Compute::run. Nothing
// waits: a wait moves the node's JobClock, and the job then takes that much longer.
#pragma once

#include <map>
#include <string>

#include "common/env/block_reads.h"
#include "common/env/throttle/storage_model.h"
#include "simulations/world/internal/core.h"
#include "simulations/world/internal/file_system.h"
#include "simulations/world/internal/senses.h"
#include "simulations/world/world.h"

namespace skein::sim {

// What the block reads of one epoch share.
struct BlockDevice {
  Core& core;
  std::shared_ptr<const Epoch> epoch;
  SimRandom random;
  JobClock& clock;
  BlockCounters& counters;
  StorageModel model;
};

class SimBlockReads final : public BlockReads {
 public:
  SimBlockReads(BlockDevice& device, InodePtr inode, std::string path)
      : device_(device),
        inode_(std::move(inode)),
        path_(std::move(path)),
        size_(inode_->current.size()) {}
  std::uint64_t size() const override { return size_; }
  std::uint32_t alignment() const override { return kMostAlignment; }
  std::string_view kind() const override { return "simulated"; }
  Result<void> submit(std::span<const BlockRead> reads) override;
  std::size_t wait(std::span<BlockReadDone> done, std::size_t at_least,
                   std::chrono::nanoseconds deadline) override;

 private:
  Duration delay();
  Result<void> carry_out(const BlockRead& read);
  bool strikes(double probability) { return device_.core.strikes(device_.random, probability); }
  void trace(std::string_view kind, std::uint64_t offset);

  BlockDevice& device_;
  InodePtr inode_;
  std::string path_;
  std::uint64_t size_;  // when it was opened
  std::uint64_t number_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, BlockRead> out_;  // by (end, number)
};

}  // namespace skein::sim
