#include "common/artifact/internal/new_file.h"

namespace skein::internal {

Task<Result<void>> NewFile::append(ByteView bytes) {
  if (!file_) {
    CO_TRY(file_, co_await disk_.open(temporary_, OpenMode::kCreate));
  }
  CO_TRY_VOID(co_await file_->write_at(size_, bytes));
  size_ += bytes.size();
  co_return Result<void>{};
}

Task<Result<void>> NewFile::overwrite(std::uint64_t offset, ByteView bytes) {
  CHECK(offset + bytes.size() <= size_);
  co_return co_await file_->write_at(offset, bytes);
}

Task<Result<void>> NewFile::commit() {
  CO_TRY_VOID(co_await file_->sync());
  file_.reset();
  co_return co_await disk_.rename(temporary_, path_);
}

Task<void> NewFile::discard() {
  file_.reset();
  // The failure that led here is what the caller reports.
  [[maybe_unused]] const Result<void> removed = co_await disk_.remove(temporary_);
}

}  // namespace skein::internal
