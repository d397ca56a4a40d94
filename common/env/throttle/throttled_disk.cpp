#include "common/env/throttle/throttled_disk.h"

namespace skein {

namespace {

class ThrottledFile final : public File {
 public:
  ThrottledFile(std::unique_ptr<File> below, SharedStorage& storage, Clock& clock)
      : below_(std::move(below)), storage_(storage), clock_(clock) {}
  std::uint64_t size() const override { return below_->size(); }
  Task<Result<void>> read_at(std::uint64_t offset, MutableByteView all) override {
    const Instant end = storage_.finish(clock_.now(), all.size());
    Task<Result<void>> reading = below_->read_at(offset, all);
    Result<void> result = co_await std::move(reading);
    if (end > clock_.now()) {
      Task<void> late = clock_.sleep_until(end);
      co_await std::move(late);
    }
    co_return result;
  }
  Task<Result<void>> write_at(std::uint64_t offset, ByteView all) override {
    return below_->write_at(offset, all);
  }
  Task<Result<void>> sync() override { return below_->sync(); }

 private:
  std::unique_ptr<File> below_;
  SharedStorage& storage_;
  Clock& clock_;
};

}  // namespace

Task<Result<std::unique_ptr<File>>> ThrottledDisk::open(std::string path, OpenMode mode) {
  Task<Result<std::unique_ptr<File>>> opening = below_.open(std::move(path), mode);
  CO_TRY(auto file, co_await std::move(opening));
  co_return std::make_unique<ThrottledFile>(std::move(file), storage_, clock_);
}

Result<std::unique_ptr<BlockReads>> ThrottledDisk::open_blocks(const std::string& path) {
  TRY(auto reads, below_.open_blocks(path));
  return throttled(std::move(reads), storage_, blocking_);
}

Result<std::unique_ptr<MappedFile>> ThrottledDisk::map(const std::string& path) {
  return below_.map(path);
}
Task<Result<void>> ThrottledDisk::rename(std::string from, std::string to) {
  return below_.rename(std::move(from), std::move(to));
}
Task<Result<void>> ThrottledDisk::remove(std::string path) {
  return below_.remove(std::move(path));
}
Task<Result<void>> ThrottledDisk::make_directories(std::string path) {
  return below_.make_directories(std::move(path));
}
Task<Result<void>> ThrottledDisk::sync_directory(std::string path) {
  return below_.sync_directory(std::move(path));
}
Task<Result<std::vector<std::string>>> ThrottledDisk::list(std::string path) {
  return below_.list(std::move(path));
}
Result<bool> ThrottledDisk::exists(const std::string& path) { return below_.exists(path); }
Result<std::uint64_t> ThrottledDisk::free_bytes(const std::string& path) {
  return below_.free_bytes(path);
}

}  // namespace skein
