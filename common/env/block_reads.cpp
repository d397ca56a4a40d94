#include "common/env/block_reads.h"

#include <algorithm>
#include <deque>

#include "common/env/disk.h"

namespace skein {

BlockReads::~BlockReads() = default;

Result<void> check_block_reads(const BlockReads& file, std::span<const BlockRead> reads,
                               std::size_t waiting) {
  if (reads.size() >
      BlockReads::kMostQueued - std::min<std::size_t>(waiting, BlockReads::kMostQueued)) {
    return fail(Errc::kOutOfRoom,
                "more than " + std::to_string(BlockReads::kMostQueued) + " reads are waiting", {},
                "take finished ones first");
  }
  constexpr std::uint64_t kBlock = BlockReads::kMostAlignment;
  const std::uint64_t end = (file.size() + kBlock - 1) / kBlock * kBlock;
  for (const BlockRead& read : reads) {
    const std::uint64_t size = read.out.size();
    const auto place = "offset " + std::to_string(read.offset);
    if (size == 0 || size > end || read.offset > end - size) {
      return fail(Errc::kUsage,
                  "a read of " + std::to_string(size) + " bytes from a file of " +
                      std::to_string(file.size()),
                  place, "stay within the file");
    }
    const auto address = reinterpret_cast<std::uintptr_t>(read.out.data());
    if ((read.offset | size | address) % file.alignment() != 0) {
      return fail(Errc::kUsage, "a read that is not aligned", place,
                  "place, size and memory are multiples of " + std::to_string(file.alignment()));
    }
  }
  return {};
}

namespace {

// For disks in memory: a read is a copy, done when it is waited for.
class MappedBlockReads final : public BlockReads {
 public:
  explicit MappedBlockReads(std::unique_ptr<MappedFile> file) : file_(std::move(file)) {}
  std::uint64_t size() const override { return file_->bytes().size(); }
  std::uint32_t alignment() const override { return 1; }
  std::string_view kind() const override { return "mapped"; }

  Result<void> submit(std::span<const BlockRead> reads) override {
    TRY_VOID(check_block_reads(*this, reads, waiting_.size()));
    waiting_.insert(waiting_.end(), reads.begin(), reads.end());
    return {};
  }

  std::size_t wait(std::span<BlockReadDone> done, std::size_t /*at_least*/,
                   std::chrono::nanoseconds /*deadline*/) override {
    const std::size_t taken = std::min(done.size(), waiting_.size());
    for (std::size_t i = 0; i < taken; ++i) {
      const BlockRead read = waiting_.front();
      waiting_.pop_front();
      const ByteView bytes = file_->bytes();
      const std::uint64_t there = std::min<std::uint64_t>(
          read.out.size(), bytes.size() - std::min<std::uint64_t>(read.offset, bytes.size()));
      const ByteView from = there > 0 ? bytes.subspan(read.offset, there) : ByteView();
      const auto rest = std::ranges::copy(from, read.out.begin()).out;
      std::fill(rest, read.out.end(), std::byte{});
      done[i] = {read.tag, {}};
    }
    return taken;
  }

 private:
  std::unique_ptr<MappedFile> file_;
  std::deque<BlockRead> waiting_;
};

}  // namespace

Result<std::unique_ptr<BlockReads>> Disk::open_blocks(const std::string& path) {
  TRY(auto file, map(path));
  return std::make_unique<MappedBlockReads>(std::move(file));
}

}  // namespace skein
