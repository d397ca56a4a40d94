#include "common/env/real/internal/real_pressure.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/env/real/internal/program_text.h"

namespace skein::real {

std::optional<std::string> RealTextFiles::read(const std::string& path) {
  // A pipe or a terminal by that name does not hold us up.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  std::string text;
  char some[4096];
  ssize_t got = 0;
  while (text.size() < kMostBytes) {
    got = ::read(fd, some, std::min(sizeof some, kMostBytes - text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(some, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return got < 0 ? std::nullopt : std::optional(std::move(text));
}

std::vector<std::string> RealTextFiles::names(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  std::vector<std::string> names;
  if (!open) return names;
  while (names.size() < kMostNames) {
    const dirent* const entry = ::readdir(open.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

// Large blocks are the system's again when they are freed, however many were before.
constexpr int kLargeBlock = 128 << 10;

void RealPressure::give_back() {
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  ::malloc_trim(0);
  drop_program_text();
}

}  // namespace skein::real
