// A budget of memory against the same file mapped, each in a cgroup of its own with the same limits
// of memory and of reads. Takes root, or delegation. Not part of `all`:
//   cmake --build --preset release --target mmap_bench skein && build/release/bin/mmap_bench
//   [--mbps 300] [--share 0.5] [--decode 4] [--threads 2] FILE.skein [CODED.skein]
// The limit is a share of the first file; the second, of the same artifact, has a budget only.
#include <cstdio>
#include <cstdlib>

#include "tests/support/bench_in_cgroup.h"

namespace skein {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

int main_of(int argc, char** argv) {
  double mbps = 300, share = 0.5;
  std::uint32_t decode = 4, threads = 2;
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
    if (word == "--decode") decode = static_cast<std::uint32_t>(std::strtoul(value, nullptr, 10));
    if (word == "--threads") threads = static_cast<std::uint32_t>(std::strtoul(value, nullptr, 10));
  }
  if (const auto why = test::why_no_cgroup(); why || files.empty()) {
    std::printf("%s\n", why ? why->c_str()
                            : "usage: mmap_bench [--mbps N] [--share S] FILE.skein [CODED.skein]");
    return 2;
  }
  const auto bytes = static_cast<double>(std::filesystem::file_size(files.front()));
  const auto limit = static_cast<std::uint64_t>(share * bytes) / kMib;
  std::vector<test::BenchAsked> sides = {{.file = files.front(), .mapped = true}};
  for (const std::string& file : files) sides.push_back({.file = file});
  for (test::BenchAsked& side : sides) {
    side.memory_bytes = limit * kMib;
    side.mbps = mbps;
    side.decode = decode;
    side.threads = threads;
    const test::BenchDone done = bench_in_cgroup(side);
    std::printf(
        "%s %s in %llu MiB, %.0f MB/s: %.3f tokens/s, most charged %.0f MB, read %.0f MB%s%s\n",
        side.file.c_str(), side.mapped ? "mapped" : "under a budget",
        static_cast<unsigned long long>(limit), mbps, done.number("decode_tokens_per_s"),
        static_cast<double>(done.run.peak_bytes) / 1e6,
        static_cast<double>(done.run.read_bytes) / 1e6, done.sentence.empty() ? "" : ": ",
        done.sentence.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::main_of(argc, argv); }
