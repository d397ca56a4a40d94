#include "common/env/real/internal/posix_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

namespace skein::real {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

namespace {

struct Advice {
  Errc code;
  const char* remedy;
};

Advice advice_for(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {Errc::kNotFound, "check the path"};
    case EACCES:
    case EPERM:
      return {Errc::kInput, "give this user the right to it"};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {Errc::kOutOfRoom, "free some space or use another disk"};
    case EMFILE:
    case ENFILE:
      return {Errc::kOutOfRoom, "raise the limit of open files (ulimit -n)"};
    case EROFS:
      return {Errc::kInput, "use a directory that can be written"};
    case EISDIR:
      return {Errc::kInput, "name a file, not a directory"};
    default:
      return {Errc::kInput, "check the disk and the system log"};
  }
}

tl::unexpected<Error> failed(std::string_view what, const std::string& path) {
  return tl::unexpected<Error>(errno_error(what, path, errno));
}

}  // namespace

Error errno_error(std::string_view what, const std::string& path, int error) {
  const Advice advice = advice_for(error);
  std::string text(what);
  text += ": ";
  text += std::generic_category().message(error);
  return Error{advice.code, std::move(text), path, advice.remedy};
}

Result<OpenedFile> open_file(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC;
  if (mode == OpenMode::kRead) flags |= O_RDONLY;
  if (mode == OpenMode::kReadWrite) flags |= O_RDWR;
  if (mode == OpenMode::kCreate) flags |= O_RDWR | O_CREAT | O_TRUNC;
  OpenedFile file{Descriptor(::open(path.c_str(), flags, 0600))};
  if (file.descriptor.get() < 0) return failed("the file cannot be opened", path);
  struct stat facts{};
  if (::fstat(file.descriptor.get(), &facts) != 0) return failed("the file has no size", path);
  if (S_ISDIR(facts.st_mode)) {
    return tl::unexpected<Error>(errno_error("the file cannot be opened", path, EISDIR));
  }
  if (!S_ISREG(facts.st_mode)) {  // a pipe has no size: it would read as an empty file
    return fail(Errc::kInput, "this is not a regular file", path, "write it to a file first");
  }
  file.size = static_cast<std::uint64_t>(facts.st_size);
  return file;
}

Result<void> read_whole(int fd, const std::string& path, std::uint64_t offset,
                        MutableByteView all) {
  while (!all.empty()) {
    const ssize_t got = ::pread(fd, all.data(), all.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("the file cannot be read", path);
    if (got == 0) {
      return fail(Errc::kCorrupt, "the file ends at byte " + std::to_string(offset), path,
                  "it is shorter than it should be; fetch it again");
    }
    all = all.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<void> write_whole(int fd, const std::string& path, std::uint64_t offset, ByteView all) {
  while (!all.empty()) {
    const ssize_t put = ::pwrite(fd, all.data(), all.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("the file cannot be written", path);
    all = all.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<void> sync_file(int fd, const std::string& path) {
  if (::fdatasync(fd) != 0) return failed("the file cannot be made durable", path);
  return {};
}

std::string identity_of(const struct stat& facts) {
  timespec now{};
  char boot[64] = {};
  const Descriptor id(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  const bool known = id.get() >= 0 && ::read(id.get(), boot, sizeof boot - 1) > 0;
  const bool told = ::clock_gettime(CLOCK_REALTIME, &now) == 0;
  if (!known || !told || now.tv_sec - facts.st_ctim.tv_sec < 2) return {};
  std::string identity = boot;
  const auto add = [&](auto number) { identity += " " + std::to_string(number); };
  add(facts.st_dev);
  add(facts.st_ino);
  add(facts.st_size);
  for (const timespec& time : {facts.st_mtim, facts.st_ctim}) {
    add(time.tv_sec);
    add(time.tv_nsec);
  }
  return identity;
}

Result<void> sync_directory_at(const std::string& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return failed("the directory cannot be opened", path);
  if (::fsync(directory.get()) != 0) return failed("the directory cannot be made durable", path);
  return {};
}

Result<void> make_directories_at(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) == 0) {
    if (S_ISDIR(facts.st_mode)) return {};
    return fail(Errc::kInput, "a file stands where a directory should be", path,
                "move it away or use another path");
  }
  const std::string parent = parent_path(path);
  if (parent != path && parent != ".") TRY_VOID(make_directories_at(parent));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return failed("the directory cannot be made", path);
  }
  return sync_directory_at(parent);
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  const auto close = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory(::opendir(path.c_str()), close);
  if (!directory) return failed("the directory cannot be read", path);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return failed("the directory cannot be read", path);
  std::ranges::sort(names);
  return names;
}

}  // namespace skein::real
