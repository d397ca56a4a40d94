// BlockFile: one file as both kinds of BlockReads hold it: open, past the page cache where that
// works, and the rules by which a read that came back short or failed goes on. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/env/block_reads.h"
#include "common/env/real/block_io.h"
#include "common/env/real/internal/posix_calls.h"

namespace skein::real {

// A read under way.
struct BlockProgress {
  BlockRead read;
  std::uint64_t filled = 0;  // bytes that are there; in direct mode a multiple of the alignment
  std::uint32_t tries = 0;   // that failed for a reason that passes
};

class BlockFile {
 public:
  static constexpr std::uint32_t kMostTries = 16;

  static Result<BlockFile> open(const std::string& path, PageCacheUse cache);

  int fd() const { return file_.descriptor.get(); }
  std::uint64_t size() const { return file_.size; }
  std::uint32_t alignment() const { return alignment_; }
  bool is_direct() const { return direct_; }
  const std::string& path() const { return path_; }

  // `got` is what the kernel said: bytes, or an error number below zero. True when the read is
  // whole (what lies beyond the file is zero then), false when the rest is to be read.
  Result<bool> advance(BlockProgress& progress, std::int64_t got) const;
  // The whole read, on this thread.
  Result<void> read(const BlockRead& read) const;

 private:
  BlockFile(std::string path, OpenedFile file) : path_(std::move(path)), file_(std::move(file)) {}
  bool go_direct();
  bool direct_read_works() const;
  void leave_page_cache(const BlockRead& read) const;

  std::string path_;
  OpenedFile file_;
  std::uint32_t alignment_ = 1;
  bool direct_ = false;
};

}  // namespace skein::real
