// PoolReads: BlockReads by threads that call pread, one read each. They are started as the queue
// grows and end with it.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/env/real/internal/block_file.h"

namespace skein::real {

class PoolReads final : public BlockReads {
 public:
  explicit PoolReads(BlockFile file) : file_(std::move(file)) {}
  ~PoolReads() override;

  std::uint64_t size() const override { return file_.size(); }
  std::uint32_t alignment() const override { return file_.alignment(); }
  std::string_view kind() const override {
    return file_.is_direct() ? "pread pool, direct" : "pread pool, buffered";
  }
  Result<void> submit(std::span<const BlockRead> reads) override;
  std::size_t wait(std::span<BlockReadDone> done, std::size_t at_least,
                   std::chrono::nanoseconds deadline) override;

 private:
  static constexpr std::size_t kMostThreads = 32;
  void work();
  Result<void> grow(std::size_t wanted);

  BlockFile file_;
  std::vector<std::thread> threads_;  // caller's thread only
  std::size_t waiting_ = 0;           // submitted, not taken; caller's thread only
  std::mutex mutex_;
  std::condition_variable begun_;
  std::condition_variable finished_;
  std::deque<BlockRead> queue_;
  std::deque<BlockReadDone> done_;
  bool stopping_ = false;
};

}  // namespace skein::real
