// UringReads: BlockReads by io_uring. No thread of its own: what waits in the queue goes to the
// device in submit() and wait(). What has ended and was not asked for yet stays in the kernel's
// ring. Once warm no call allocates.
#pragma once

#include <liburing.h>

#include <array>
#include <memory>
#include <vector>

#include "common/env/real/internal/block_file.h"

namespace skein::real {

// An io_uring. Errc::kUnsupported where the kernel has none, forbids it, or cannot wait with a
// deadline (before 5.11).
class Ring {
 public:
  static Result<Ring> make();
  io_uring* operator->() const { return ring_.get(); }
  io_uring* get() const { return ring_.get(); }

 private:
  struct Close {
    void operator()(io_uring* ring) const;
  };
  std::unique_ptr<io_uring, Close> ring_;
};

class UringReads final : public BlockReads {
 public:
  UringReads(BlockFile file, Ring ring);
  ~UringReads() override;

  std::uint64_t size() const override { return file_.size(); }
  std::uint32_t alignment() const override { return file_.alignment(); }
  std::string_view kind() const override {
    return file_.is_direct() ? "io_uring, direct" : "io_uring, buffered";
  }
  Result<void> submit(std::span<const BlockRead> reads) override;
  std::size_t wait(std::span<BlockReadDone> done, std::size_t at_least,
                   std::chrono::nanoseconds deadline) override;

 private:
  std::size_t queued() const { return queue_.size() - begun_; }
  std::size_t waiting() const { return queued() + kMostInFlight - free_.size(); }
  void begin_queued();
  void prepare(std::uint32_t slot);
  void enter();
  std::size_t reap(std::span<BlockReadDone> done);
  bool finish(std::uint32_t slot, std::int64_t got, BlockReadDone& done);
  void sleep_until_done(std::size_t wanted, std::chrono::nanoseconds most);

  BlockFile file_;
  Ring ring_;
  std::array<BlockProgress, kMostInFlight> slots_;
  std::vector<std::uint32_t> free_;  // slots
  std::size_t at_device_ = 0;        // the kernel holds these; others may stand in the ring
  std::vector<BlockRead> queue_;     // from begun_ on
  std::size_t begun_ = 0;
};

}  // namespace skein::real
