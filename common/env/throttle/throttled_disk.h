// ThrottledDisk: another Disk whose reads take as long as on slower storage, for tests and
// measurements (--storage-mbps, --storage-latency-us). The files opened through it share one
// device. Reads by File and BlockReads are slowed; map(), writes and names pass untouched. The disk
// below and both clocks outlive it.
#pragma once

#include <mutex>

#include "common/env/block_reads.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "common/env/throttle/storage_model.h"

namespace skein {

// Time for a thread that may block, in the Instants of the Env's Clock. Any thread.
class BlockingClock {
 public:
  virtual ~BlockingClock() = default;
  virtual Instant now() const = 0;
  virtual void sleep_until(Instant wake) = 0;
};

// One device shared by threads.
class SharedStorage {
 public:
  explicit SharedStorage(StorageSpeed speed) : model_(speed) {}
  Instant finish(Instant now, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    return model_.finish(now, bytes);
  }

 private:
  std::mutex mutex_;
  StorageModel model_;
};

class ThrottledDisk final : public Disk {
 public:
  ThrottledDisk(Disk& below, Clock& clock, BlockingClock& blocking, StorageSpeed speed)
      : below_(below), clock_(clock), blocking_(blocking), storage_(speed) {}

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

 private:
  Disk& below_;
  Clock& clock_;
  BlockingClock& blocking_;
  SharedStorage storage_;
};

// The same reads, each finished when the bytes are there and `storage` would have them.
std::unique_ptr<BlockReads> throttled(std::unique_ptr<BlockReads> below, SharedStorage& storage,
                                      BlockingClock& clock);

}  // namespace skein
