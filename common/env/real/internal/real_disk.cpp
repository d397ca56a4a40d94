#include "common/env/real/internal/real_disk.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/env/real/internal/block_engines.h"
#include "common/env/real/internal/posix_calls.h"

namespace skein::real {

namespace {

// The job's result travels in the coroutine's frame, which stays alive until the job is done.
template <class T>
Task<Result<T>> on(Workers& workers, std::function<Result<T>()> call) {
  Result<T> result = fail(Errc::kCancelled, "the disk operation was cancelled");
  std::function<void()> job = [&result, &call] { result = call(); };
  co_await workers.run(std::move(job));
  co_return result;
}

class RealFile final : public File {
 public:
  RealFile(Workers& workers, std::string path, OpenedFile opened)
      : workers_(workers),
        path_(std::move(path)),
        opened_(std::make_shared<OpenedFile>(std::move(opened))) {}

  std::uint64_t size() const override { return opened_->size; }

  Task<Result<void>> read_at(std::uint64_t offset, MutableByteView all) override {
    return on<void>(workers_, [file = opened_, path = path_, offset, all] {
      return read_whole(file->descriptor.get(), path, offset, all);
    });
  }

  Task<Result<void>> write_at(std::uint64_t offset, ByteView all) override {
    const auto file = opened_;
    std::function<Result<void>()> call = [file, path = path_, offset, all] {
      return write_whole(file->descriptor.get(), path, offset, all);
    };
    CO_TRY_VOID(co_await on<void>(workers_, std::move(call)));
    file->size = std::max(file->size, offset + all.size());
    co_return Result<void>{};
  }

  Task<Result<void>> sync() override {
    return on<void>(workers_, [file = opened_, path = path_] {
      return sync_file(file->descriptor.get(), path);
    });
  }

 private:
  Workers& workers_;
  std::string path_;
  std::shared_ptr<OpenedFile> opened_;  // an operation under way keeps the descriptor open
};

class RealMap final : public MappedFile {
 public:
  RealMap(void* at, std::size_t size, const struct stat& facts)
      : at_(at), size_(size), facts_(facts) {}
  ~RealMap() override {
    if (at_ != nullptr) ::munmap(at_, size_);
  }
  RealMap(const RealMap&) = delete;
  RealMap& operator=(const RealMap&) = delete;
  ByteView bytes() const override { return {static_cast<const std::byte*>(at_), size_}; }
  std::string identity() const override { return identity_of(facts_); }
  // The kernel maps up to 64 KiB around what is touched.
  void forget(std::uint64_t offset, std::uint64_t count) const override {
    constexpr std::uint64_t kAround = 64 * 1024;
    const std::uint64_t first = offset / kAround * kAround;
    const std::uint64_t end =
        std::min<std::uint64_t>(size_, (offset + count + kAround - 1) / kAround * kAround);
    if (first < end) ::madvise(static_cast<std::byte*>(at_) + first, end - first, MADV_DONTNEED);
  }

 private:
  void* at_;
  std::size_t size_;
  struct stat facts_;  // as the file was opened
};

}  // namespace

RealDisk::RealDisk(boost::asio::io_context& loop, Result<BlockIo> block_io)
    : workers_(loop, kThreads), block_io_(std::move(block_io)) {}

Task<Result<std::unique_ptr<File>>> RealDisk::open(std::string path, OpenMode mode) {
  std::function<Result<OpenedFile>()> call = [path, mode] { return open_file(path, mode); };
  CO_TRY(OpenedFile opened, co_await on<OpenedFile>(workers_, std::move(call)));
  co_return std::make_unique<RealFile>(workers_, std::move(path), std::move(opened));
}

Result<std::unique_ptr<MappedFile>> RealDisk::map(const std::string& path) {
  TRY(const OpenedFile file, open_file(path, OpenMode::kRead));
  struct stat facts{};
  if (::fstat(file.descriptor.get(), &facts) != 0) {
    return tl::unexpected<Error>(errno_error("the file cannot be looked at", path, errno));
  }
  if (file.size == 0) return std::make_unique<RealMap>(nullptr, 0, facts);
  void* at = ::mmap(nullptr, file.size, PROT_READ, MAP_PRIVATE, file.descriptor.get(), 0);
  if (at == MAP_FAILED) {
    return tl::unexpected<Error>(errno_error("the file cannot be mapped", path, errno));
  }
  return std::make_unique<RealMap>(at, file.size, facts);
}

Result<std::unique_ptr<BlockReads>> RealDisk::open_blocks(const std::string& path) {
  TRY_VOID(block_io_);
  return open_block_reads(path, *block_io_);
}

Task<Result<void>> RealDisk::rename(std::string from, std::string to) {
  return on<void>(workers_, [from = std::move(from), to = std::move(to)]() -> Result<void> {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return tl::unexpected<Error>(errno_error("the file cannot be renamed to " + to, from, errno));
  });
}

Task<Result<void>> RealDisk::remove(std::string path) {
  return on<void>(workers_, [path = std::move(path)]() -> Result<void> {
    if (::remove(path.c_str()) == 0 || errno == ENOENT) return {};
    return tl::unexpected<Error>(errno_error("the file cannot be removed", path, errno));
  });
}

Task<Result<void>> RealDisk::make_directories(std::string path) {
  return on<void>(workers_, [path = std::move(path)] { return make_directories_at(path); });
}

Task<Result<void>> RealDisk::sync_directory(std::string path) {
  return on<void>(workers_, [path = std::move(path)] { return sync_directory_at(path); });
}

Task<Result<std::vector<std::string>>> RealDisk::list(std::string path) {
  return on<std::vector<std::string>>(workers_,
                                      [path = std::move(path)] { return list_directory(path); });
}

Result<bool> RealDisk::exists(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return tl::unexpected<Error>(errno_error("the path cannot be looked at", path, errno));
}

Result<std::uint64_t> RealDisk::free_bytes(const std::string& path) {
  struct statvfs facts{};
  if (::statvfs(path.c_str(), &facts) != 0) {
    return tl::unexpected<Error>(errno_error("the disk's free space is unknown", path, errno));
  }
  return std::uint64_t{facts.f_bavail} * facts.f_frsize;
}

}  // namespace skein::real
