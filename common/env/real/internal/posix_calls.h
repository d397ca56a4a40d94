// The blocking file calls behind RealDisk, each reporting its failure as a sentence. Any thread.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/env/disk.h"

namespace skein::real {

class Descriptor {  // closes
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct OpenedFile {
  Descriptor descriptor;
  std::uint64_t size = 0;
};

Error errno_error(std::string_view what, const std::string& path, int error);
Result<OpenedFile> open_file(const std::string& path, OpenMode mode);
Result<void> read_whole(int fd, const std::string& path, std::uint64_t offset, MutableByteView all);
Result<void> write_whole(int fd, const std::string& path, std::uint64_t offset, ByteView all);
// MappedFile::identity(). Empty for a file written to in the last second: the clock of files is
// too coarse to tell the next write from that one.
std::string identity_of(const struct stat& facts);
Result<void> sync_file(int fd, const std::string& path);
Result<void> sync_directory_at(const std::string& path);
Result<void> make_directories_at(const std::string& path);
Result<std::vector<std::string>> list_directory(const std::string& path);

}  // namespace skein::real
