// ForwardingDisk: another disk, of which a test overrides what it means to change. Tests only.
#pragma once

#include "common/env/block_reads.h"
#include "common/env/disk.h"

namespace skein::test {

class ForwardingDisk : public Disk {
 public:
  explicit ForwardingDisk(Disk& below) : below_(below) {}
  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override {
    return below_.open(std::move(path), mode);
  }
  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override {
    return below_.map(path);
  }
  Result<std::unique_ptr<BlockReads>> open_blocks(const std::string& path) override {
    return below_.open_blocks(path);
  }
  Task<Result<void>> rename(std::string from, std::string to) override {
    return below_.rename(std::move(from), std::move(to));
  }
  Task<Result<void>> remove(std::string path) override { return below_.remove(std::move(path)); }
  Task<Result<void>> make_directories(std::string path) override {
    return below_.make_directories(std::move(path));
  }
  Task<Result<void>> sync_directory(std::string path) override {
    return below_.sync_directory(std::move(path));
  }
  Task<Result<std::vector<std::string>>> list(std::string path) override {
    return below_.list(std::move(path));
  }
  Result<bool> exists(const std::string& path) override { return below_.exists(path); }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return below_.free_bytes(path);
  }

 private:
  Disk& below_;
};

}  // namespace skein::test
