// A budget of memory against the same file mapped, each in a cgroup of its own with the same limits
// of memory and of reads. Takes root, or delegation. Not part of `all`:
//   cmake --build --preset release --target mmap_bench skein && build/release/bin/mmap_bench
//   [--mbps 300] [--share 0.5] [--decode 4] [--threads 2] FILE.skein [CODED.skein]
// The limit is a share of the first file; the second, of the same artifact, has a budget only.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/support/cgroup.h"

namespace skein {
namespace {

// What others read of the file would be in nobody's account.
void forget_cached(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fdatasync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

double number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + words.size(), nullptr);
}

int main_of(int argc, char** argv) {
  double mbps = 300, share = 0.5;
  std::string decode = "4", threads = "2";
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--") || i + 1 == argc) {
      files.push_back(word);
      continue;
    }
    const char* value = argv[++i];
    if (word == "--mbps") mbps = std::strtod(value, nullptr);
    if (word == "--share") share = std::strtod(value, nullptr);
    if (word == "--decode") decode = value;
    if (word == "--threads") threads = value;
  }
  if (const auto why = test::why_no_cgroup(); why || files.empty()) {
    std::printf("%s\n", why ? why->c_str()
                            : "usage: mmap_bench [--mbps N] [--share S] FILE.skein [CODED.skein]");
    return 2;
  }
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto bytes = static_cast<double>(std::filesystem::file_size(files.front()));
  const auto limit = static_cast<std::uint64_t>(share * bytes) / kMib;
  const std::string budget = "--memory-budget=" + std::to_string(limit) + "M";
  struct Side {
    std::string file, how;
  };
  std::vector<Side> sides = {{files.front(), "--mmap"}};
  for (const std::string& file : files) sides.push_back({file, budget});
  for (const auto& [file, how] : sides) {
    const std::string decoded = "--decode=" + decode, on = "--threads=" + threads;
    const std::vector<std::string> words = {here / "skein", "bench",      file,    how, decoded, on,
                                            "--prefill=1",  "--repeat=1", "--json"};
    forget_cached(file);
    const auto run =
        test::run_in_cgroup({.memory_bytes = limit * kMib,
                             .read_bytes_per_second = static_cast<std::uint64_t>(mbps * 1e6),
                             .device_of = file,
                             .deadline = std::chrono::seconds(540)},
                            words);
    std::printf("%s %s in %llu MiB, %.0f MB/s: %.3f tokens/s, most charged %.0f MB%s%s %s\n",
                file.c_str(), how.c_str(), static_cast<unsigned long long>(limit), mbps,
                number_after(run.output, "\"decode_tokens_per_s\":"),
                static_cast<double>(run.peak_bytes) / 1e6, run.killed ? ", killed" : "",
                run.late ? ", not done in time" : "",
                run.exit_code == 0 ? "" : (run.failure + run.output).c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::main_of(argc, argv); }
