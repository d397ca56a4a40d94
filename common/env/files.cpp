#include "common/env/disk.h"

namespace skein {

void MappedFile::forget(std::uint64_t, std::uint64_t) const {}
std::string MappedFile::identity() const { return {}; }

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  std::string path(directory);
  if (path.back() != '/') path += '/';
  return path += name;
}

std::string parent_path(std::string_view path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

Task<Result<Buffer>> read_file(Disk& disk, std::string path, std::uint64_t limit) {
  CO_TRY(auto file, co_await disk.open(path, OpenMode::kRead));
  const std::uint64_t size = file->size();
  if (size > limit) {
    co_return fail(Errc::kCorrupt,
                   "the file has " + std::to_string(size) + " bytes, more than the " +
                       std::to_string(limit) + " it may have",
                   path);
  }
  Buffer bytes(size);
  CO_TRY_VOID(co_await file->read_at(0, bytes));
  co_return bytes;
}

Task<Result<void>> replace_file(Disk& disk, std::string path, ByteView bytes) {
  const std::string temporary = path + ".new";
  {
    CO_TRY(auto file, co_await disk.open(temporary, OpenMode::kCreate));
    CO_TRY_VOID(co_await file->write_at(0, bytes));
    CO_TRY_VOID(co_await file->sync());
  }
  CO_TRY_VOID(co_await disk.rename(temporary, path));
  co_return co_await disk.sync_directory(parent_path(path));
}

}  // namespace skein
