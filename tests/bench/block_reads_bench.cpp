// MB/s and latency of each kind of BlockReads on this machine.
//   block_reads_bench [FILE [SECONDS]]    FILE: 1 GiB, made where it is absent
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "common/env/real/internal/block_engines.h"

namespace {

using namespace skein;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kFile = 1U << 30;
constexpr std::size_t kLargest = 128 * 1024;

bool make_file(const char* path) {
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> some(1 << 17);
  while (static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)) < kFile) {
    for (std::uint64_t& word : some) word = random();
    if (::write(fd, some.data(), some.size() * 8) <= 0) return false;
  }
  ::fsync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
  return true;
}

struct Figures {
  double megabytes_per_second, middle_us, slow_us;  // median and the 99th of a hundred
};

Figures measure(BlockReads& reads, std::size_t size, std::size_t depth, double seconds,
                std::byte* memory) {
  std::mt19937_64 random(2);
  std::vector<Clock::time_point> begun(depth);
  std::vector<double> latencies;
  const auto begin = [&](std::uint64_t slot) {
    const std::uint64_t offset = random() % (kFile / size) * size;
    const BlockRead read{offset, {memory + slot * kLargest, size}, slot};
    begun[slot] = Clock::now();
    if (!reads.submit({&read, 1})) std::abort();
  };
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  for (std::size_t slot = 0; slot < depth; ++slot) begin(slot);
  std::vector<BlockReadDone> done(depth);
  for (std::size_t out = depth; out > 0;) {
    const std::size_t got = reads.wait(done, 1, std::chrono::seconds(60));
    const auto now = Clock::now();
    for (std::size_t i = 0; i < got; ++i) {
      if (!done[i].result) std::abort();
      latencies.push_back(
          std::chrono::duration<double, std::micro>(now - begun[done[i].tag]).count());
      if (now < end) {
        begin(done[i].tag);
      } else {
        --out;
      }
    }
  }
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  std::ranges::sort(latencies);
  const std::size_t count = latencies.size();
  return {static_cast<double>(count * size) / took / 1e6, latencies[count / 2],
          latencies[count * 99 / 100]};
}

}  // namespace

int main(int argc, char** argv) {
  const char* const path = argc > 1 ? argv[1] : "block_reads_bench.tmp";
  const double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 0.5;
  if (!make_file(path)) return 1;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(4096, 32 * kLargest));
  std::printf("%-24s %8s %6s %10s %10s %10s\n", "kind", "bytes", "depth", "MB/s", "median us",
              "99 % us");
  for (const char* kind :
       {"io_uring,direct", "io_uring,buffered", "pread,direct", "pread,buffered"}) {
    auto reads = real::open_block_reads(path, *parse_block_io(kind));
    if (!reads) {
      std::printf("%-24s %s\n", kind, to_string(reads.error()).c_str());
      continue;
    }
    for (const std::size_t size : {std::size_t{4096}, std::size_t{16384}, kLargest}) {
      for (const std::size_t depth : {std::size_t{1}, std::size_t{32}}) {
        const Figures f = measure(**reads, size, depth, seconds, memory);
        std::printf("%-24s %8zu %6zu %10.0f %10.1f %10.1f\n", (*reads)->kind().data(), size, depth,
                    f.megabytes_per_second, f.middle_us, f.slow_us);
      }
    }
  }
  std::free(memory);
  return 0;
}
