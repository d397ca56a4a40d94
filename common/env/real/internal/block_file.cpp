#include "common/env/real/internal/block_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace skein::real {

namespace {

// What O_DIRECT asks of place, size and memory; 0 where the file system has none. Kernels before
// 6.1 do not say: the largest is then asked for, which suits them all.
std::uint32_t direct_alignment(int fd) {
#ifdef STATX_DIOALIGN
  struct statx facts{};
  const bool told = ::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0;
  if (told && (facts.stx_mask & STATX_DIOALIGN) != 0) {
    const std::uint32_t least = std::max(facts.stx_dio_mem_align, facts.stx_dio_offset_align);
    const bool usable = facts.stx_dio_offset_align != 0 && std::has_single_bit(least);
    return usable && least <= BlockReads::kMostAlignment ? least : 0;
  }
#endif
  return BlockReads::kMostAlignment;
}

}  // namespace

Result<BlockFile> BlockFile::open(const std::string& path, PageCacheUse cache) {
  TRY(OpenedFile opened, open_file(path, OpenMode::kRead));
  BlockFile file(path, std::move(opened));
  if (cache != PageCacheUse::kBuffered && file.go_direct()) return file;
  if (cache == PageCacheUse::kDirect) {
    return fail(Errc::kUnsupported, "the file system cannot read past the page cache", path,
                "use SKEIN_IO=buffered or another file system");
  }
  ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_RANDOM);  // nothing read ahead
  return file;
}

bool BlockFile::go_direct() {
  const std::uint32_t least = direct_alignment(fd());
  const int flags = ::fcntl(fd(), F_GETFL);
  if (least == 0 || flags < 0 || ::fcntl(fd(), F_SETFL, flags | O_DIRECT) != 0) return false;
  alignment_ = least;
  direct_ = true;
  if (direct_read_works()) return true;
  ::fcntl(fd(), F_SETFL, flags);
  alignment_ = 1;
  direct_ = false;
  return false;
}

// Some file systems take the flag and refuse the read.
bool BlockFile::direct_read_works() const {
  alignas(BlockReads::kMostAlignment) std::byte block[BlockReads::kMostAlignment];
  if (size() == 0) return true;
  ssize_t got = 0;
  do {
    got = ::pread(fd(), block, sizeof block, 0);
  } while (got < 0 && errno == EINTR);
  return got >= 0 || errno != EINVAL;
}

// A file smaller than it was, an error of the device and a read that only came back short are told
// apart here. A direct read goes on at a multiple of the alignment, or the kernel refuses it.
Result<bool> BlockFile::advance(BlockProgress& progress, std::int64_t got) const {
  const BlockRead& read = progress.read;
  const std::uint64_t at = read.offset + progress.filled;
  if (got < 0) {
    // The last two: the thread that submitted it to io_uring has ended meanwhile.
    const bool passes = got == -EINTR || got == -EAGAIN || got == -ECANCELED || got == -EFAULT;
    if (passes && ++progress.tries < kMostTries) return false;
    return tl::unexpected<Error>(errno_error(
        "the file cannot be read at byte " + std::to_string(at), path_, static_cast<int>(-got)));
  }
  const std::uint64_t there =
      std::min<std::uint64_t>(read.out.size(), size() - std::min(size(), read.offset));
  const std::uint64_t filled = progress.filled + static_cast<std::uint64_t>(got);
  if (filled >= there) {
    std::fill(read.out.begin() + static_cast<std::ptrdiff_t>(there), read.out.end(), std::byte{});
    if (!direct_) leave_page_cache(read);
    return true;
  }
  const std::uint64_t kept = filled / alignment_ * alignment_;
  if (kept == progress.filled) {
    return fail(Errc::kCorrupt,
                "the file ends at byte " + std::to_string(read.offset + filled) + " and had " +
                    std::to_string(size()) + " when it was opened",
                path_, "do not change it while it is in use; fetch it again");
  }
  progress.filled = kept;
  return false;
}

Result<void> BlockFile::read(const BlockRead& read) const {
  BlockProgress progress{.read = read};
  for (;;) {
    const MutableByteView rest = read.out.subspan(progress.filled);
    const ssize_t got =
        ::pread(fd(), rest.data(), rest.size(), static_cast<off_t>(read.offset + progress.filled));
    TRY(const bool whole, advance(progress, got < 0 ? -errno : got));
    if (whole) return {};
  }
}

void BlockFile::leave_page_cache(const BlockRead& read) const {
  constexpr std::uint64_t kPage = BlockReads::kMostAlignment;
  const std::uint64_t first = read.offset / kPage * kPage;
  const std::uint64_t end = (read.offset + read.out.size() + kPage - 1) / kPage * kPage;
  ::posix_fadvise(fd(), static_cast<off_t>(first), static_cast<off_t>(end - first),
                  POSIX_FADV_DONTNEED);
}

}  // namespace skein::real
