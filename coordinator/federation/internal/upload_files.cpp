#include "coordinator/federation/internal/upload_files.h"

namespace skein::internal {
namespace {

constexpr std::string_view kSuffix = ".update";

}  // namespace

std::string UploadFiles::path_of(UploadName name) const {
  return join_path(directory_, std::to_string(name.round.value()) + "-" +
                                   std::to_string(name.device.value()) + std::string(kSuffix));
}

Task<Result<void>> UploadFiles::prepare() { co_return co_await disk_.make_directories(directory_); }

Task<Result<std::uint64_t>> UploadFiles::have(UploadName name) {
  CO_TRY(const bool there, disk_.exists(path_of(name)));
  if (!there) co_return std::uint64_t{0};
  CO_TRY(const auto file, co_await disk_.open(path_of(name), OpenMode::kRead));
  co_return file->size();
}

Task<Result<std::uint64_t>> UploadFiles::write(UploadName name, std::uint64_t offset,
                                               ByteView bytes) {
  const std::string path = path_of(name);
  const OpenMode mode = offset == 0 ? OpenMode::kCreate : OpenMode::kReadWrite;
  CO_TRY(const auto file, co_await disk_.open(path, mode));
  CO_TRY_VOID(co_await file->write_at(offset, bytes));
  CO_TRY_VOID(co_await file->sync());
  if (offset == 0) {
    CO_TRY_VOID(co_await disk_.sync_directory(directory_));
  }
  co_return file->size();
}

Task<Result<Buffer>> UploadFiles::read(UploadName name, std::uint64_t limit) {
  co_return co_await read_file(disk_, path_of(name), limit);
}

Task<Result<void>> UploadFiles::remove(UploadName name) {
  co_return co_await disk_.remove(path_of(name));
}

Task<Result<void>> UploadFiles::remove_all(RoundId round) {
  CO_TRY(const std::vector<std::string> names, co_await disk_.list(directory_));
  const std::string prefix = std::to_string(round.value()) + "-";
  for (const std::string& name : names) {
    if (!name.starts_with(prefix) || !name.ends_with(kSuffix)) continue;
    CO_TRY_VOID(co_await disk_.remove(join_path(directory_, name)));
  }
  co_return Result<void>{};
}

}  // namespace skein::internal
