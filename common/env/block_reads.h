// BlockReads: reads of one file that overlap with computing and leave nothing in the page cache
// where the file system allows it. For a compute thread in the middle of a token, not for the loop:
// calls are synchronous, and only wait() blocks. One thread at a time.
//
//   auto reads = *disk.open_blocks(path);
//   reads->submit({{.offset = 0, .out = buffer, .tag = 7}});   ... compute ...
//   BlockReadDone done[8];
//   const std::size_t taken = reads->wait(done, 1, std::chrono::seconds(2));
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace skein {

// `offset`, `out.size()` and `out.data()` are multiples of alignment(). `out` stays where it is
// until the read is taken or the BlockReads is gone.
struct BlockRead {
  std::uint64_t offset = 0;
  MutableByteView out;
  std::uint64_t tag = 0;  // the caller's; comes back with the result
};

// Whole or failed: on an error what `out` holds means nothing. Errc::kInput where the device
// failed, kCorrupt where the file has become shorter; the error names file and offset.
struct BlockReadDone {
  std::uint64_t tag = 0;
  Result<void> result;
};

class BlockReads {
 public:
  static constexpr std::uint32_t kMostInFlight = 128;  // at the device; more are queued inside ...
  static constexpr std::uint32_t kMostQueued = 4096;   // ... this many submitted and not yet taken
  static constexpr std::uint32_t kMostAlignment = 4096;

  virtual ~BlockReads();                   // waits for what is in flight
  virtual std::uint64_t size() const = 0;  // of the file when it was opened
  // A power of two up to kMostAlignment; 1 where any will do.
  virtual std::uint32_t alignment() const = 0;
  virtual std::string_view kind() const = 0;  // "io_uring, direct", "pread pool, buffered", ...
  // Begins these, in order; never blocks on the device. A read may reach beyond the file's end, up
  // to the next multiple of kMostAlignment: what is not in the file is zero. All or nothing:
  // Errc::kUsage for a read that is empty, unaligned or out of bounds, kOutOfRoom above
  // kMostQueued.
  virtual Result<void> submit(std::span<const BlockRead> reads) = 0;
  // Takes finished ones, in the order in which they finished. Blocks until at least `at_least` (or
  // all that are out, or done.size(), whichever is less) are there, or `deadline`, counted from
  // now, has passed. The number taken; the rest stay for the next call.
  virtual std::size_t wait(std::span<BlockReadDone> done, std::size_t at_least,
                           std::chrono::nanoseconds deadline) = 0;
};

// What submit() promises to refuse, for every implementation. `waiting` are submitted, not taken.
Result<void> check_block_reads(const BlockReads& file, std::span<const BlockRead> reads,
                               std::size_t waiting);

}  // namespace skein
