// NewFile: a file that appears whole under its name or not at all: written as a temporary, synced,
// renamed. One task; the disk outlives it. What is neither committed nor discarded stays as a
// temporary for the next start to remove.
#pragma once

#include <memory>
#include <string>

#include "common/env/disk.h"

namespace skein::internal {

inline constexpr std::string_view kTemporarySuffix = ".new";

class NewFile {
 public:
  // `temporary` must be nobody else's name.
  NewFile(Disk& disk, std::string path, std::string temporary)
      : disk_(disk), path_(std::move(path)), temporary_(std::move(temporary)) {}

  // At the end of what is there; the first call creates the temporary.
  Task<Result<void>> append(ByteView bytes);
  // Over what was appended.
  Task<Result<void>> overwrite(std::uint64_t offset, ByteView bytes);
  // The bytes are durable; the name is, after the directory is synced.
  Task<Result<void>> commit();
  // After a failure: removes the temporary if it can.
  Task<void> discard();

 private:
  Disk& disk_;
  std::string path_;
  std::string temporary_;
  std::unique_ptr<File> file_;
  std::uint64_t size_ = 0;
};

}  // namespace skein::internal
