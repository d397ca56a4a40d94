// StillDisk: a real disk whose block reads come out of a copy of the file and allocate nothing,
// and fail where the test says. Tests only.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "common/env/block_reads.h"
#include "tests/support/forwarding_disk.h"

namespace skein::test {

struct StillFile {
  Buffer bytes;
  std::optional<std::uint64_t> broken;  // a read of this offset fails
  // As many reads fail of the BlockReads that was opened in that place.
  std::uint32_t failing_reads = 0;
  mutable std::uint32_t failures = 0;
  mutable std::uint32_t opened = 0;
};

class StillReads final : public BlockReads {
 public:
  explicit StillReads(const StillFile& file) : file_(file), place_(file.opened++) {
    waiting_.reserve(kMostQueued);
  }
  ~StillReads() override {  // as a device does, which cannot be called back
    for (const BlockRead& read : waiting_) (void)take(read);
  }
  StillReads(const StillReads&) = delete;
  StillReads& operator=(const StillReads&) = delete;
  std::uint64_t size() const override { return file_.bytes.size(); }
  std::uint32_t alignment() const override { return 512; }
  std::string_view kind() const override { return "still"; }
  Result<void> submit(std::span<const BlockRead> reads) override {
    TRY_VOID(check_block_reads(*this, reads, waiting_.size()));
    waiting_.insert(waiting_.end(), reads.begin(), reads.end());
    return {};
  }
  std::size_t wait(std::span<BlockReadDone> done, std::size_t at_least,
                   std::chrono::nanoseconds) override {
    const std::size_t count =
        std::min({std::max<std::size_t>(at_least, 1), waiting_.size(), done.size()});
    for (std::size_t i = 0; i < count; ++i) {
      const BlockRead read = waiting_.back();  // the last first
      waiting_.pop_back();
      done[i] = {read.tag, take(read)};
    }
    return count;
  }

 private:
  Result<void> take(const BlockRead& read) {
    const std::uint64_t end = read.offset + read.out.size();
    if (file_.broken && *file_.broken >= read.offset && *file_.broken < end) {
      return fail(Errc::kInput, "the device failed", "offset " + std::to_string(read.offset));
    }
    if (place_ == file_.failing_reads && file_.failures > 0) {
      --file_.failures;
      std::ranges::fill(read.out, std::byte{0x55});
      return fail(Errc::kInput, "the device failed", "once");
    }
    const std::uint64_t there = std::min<std::uint64_t>(end, file_.bytes.size());
    std::ranges::fill(read.out, std::byte{0});
    std::copy_n(file_.bytes.begin() + static_cast<std::ptrdiff_t>(read.offset), there - read.offset,
                read.out.begin());
    return {};
  }
  const StillFile& file_;
  std::uint32_t place_;
  std::vector<BlockRead> waiting_;
};

class StillDisk final : public ForwardingDisk {
 public:
  StillDisk(Disk& real, const StillFile& file) : ForwardingDisk(real), file_(file) {}
  Result<std::unique_ptr<BlockReads>> open_blocks(const std::string&) override {
    return std::make_unique<StillReads>(file_);
  }

 private:
  const StillFile& file_;
};

}  // namespace skein::test
