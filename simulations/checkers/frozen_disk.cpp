#include "simulations/checkers/frozen_disk.h"

#include <new>
#include <set>

namespace skein {
namespace {

tl::unexpected<Error> frozen(const std::string& path) {
  return fail(Errc::kRefused, "a checker may not write", path);
}

// 64-byte aligned, as Disk::map promises.
class FrozenFile final : public File, public MappedFile {
 public:
  explicit FrozenFile(const Buffer& bytes) : size_(bytes.size()) {
    const std::size_t padded = (size_ + 63) / 64 * 64 + 64;
    data_ = static_cast<std::byte*>(::operator new(padded, std::align_val_t(64)));
    if (size_ > 0) std::memcpy(data_, bytes.data(), size_);
  }
  ~FrozenFile() override { ::operator delete(data_, std::align_val_t(64)); }
  FrozenFile(const FrozenFile&) = delete;
  FrozenFile& operator=(const FrozenFile&) = delete;

  ByteView bytes() const override { return {data_, size_}; }
  std::uint64_t size() const override { return size_; }
  Task<Result<void>> read_at(std::uint64_t offset, MutableByteView all) override {
    if (offset > size_ || size_ - offset < all.size()) {
      co_return fail(Errc::kInput, "the file ends before that");
    }
    if (!all.empty()) std::memcpy(all.data(), data_ + offset, all.size());
    co_return Result<void>{};
  }
  Task<Result<void>> write_at(std::uint64_t, ByteView) override { co_return frozen("file"); }
  Task<Result<void>> sync() override { co_return Result<void>{}; }

 private:
  std::size_t size_;
  std::byte* data_;
};

}  // namespace

Task<Result<std::unique_ptr<File>>> FrozenDisk::open(std::string path, OpenMode mode) {
  if (mode != OpenMode::kRead) co_return frozen(path);
  const auto bytes = world_.file(node_, path);
  if (!bytes) co_return fail(Errc::kNotFound, "there is no such file", path);
  co_return std::unique_ptr<File>(std::make_unique<FrozenFile>(*bytes));
}

Result<std::unique_ptr<MappedFile>> FrozenDisk::map(const std::string& path) {
  const auto bytes = world_.file(node_, path);
  if (!bytes) return fail(Errc::kNotFound, "there is no such file", path);
  return std::unique_ptr<MappedFile>(std::make_unique<FrozenFile>(*bytes));
}

Task<Result<void>> FrozenDisk::rename(std::string from, std::string) { co_return frozen(from); }
Task<Result<void>> FrozenDisk::remove(std::string path) { co_return frozen(path); }
Task<Result<void>> FrozenDisk::make_directories(std::string) { co_return Result<void>{}; }
Task<Result<void>> FrozenDisk::sync_directory(std::string) { co_return Result<void>{}; }

Task<Result<std::vector<std::string>>> FrozenDisk::list(std::string path) {
  if (!path.ends_with('/')) path += '/';
  std::set<std::string> names;
  for (const std::string& file : world_.files(node_)) {
    if (!file.starts_with(path)) continue;
    const std::string rest = file.substr(path.size());
    names.insert(rest.substr(0, rest.find('/')));
  }
  co_return std::vector<std::string>(names.begin(), names.end());
}

Result<bool> FrozenDisk::exists(const std::string& path) {
  if (world_.file(node_, path)) return true;
  for (const std::string& file : world_.files(node_)) {
    if (file.starts_with(path + "/")) return true;
  }
  return false;
}

Result<std::uint64_t> FrozenDisk::free_bytes(const std::string&) { return 0; }

}  // namespace skein
