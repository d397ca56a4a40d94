#include "edge_node/tool/internal/bandwidth.h"

#include <atomic>
#include <cstring>

namespace skein::tool {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

using Wide = std::uint64_t __attribute__((vector_size(64)));

std::uint64_t sum_of(const std::byte* at) {
  Wide sums[4] = {};
  for (std::size_t done = 0; done < kPiece; done += sizeof sums) {
    Wide next[4];
    std::memcpy(next, at + done, sizeof next);
    for (std::size_t i = 0; i < 4; ++i) sums[i] += next[i];
  }
  const Wide all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < 8; ++i) sum += all[i];
  return sum;
}

struct Sweep {
  const std::byte* data;
  std::atomic<std::uint64_t> sum{0};
  void run(std::size_t piece) { sum += sum_of(data + piece * kPiece); }
};

}  // namespace

Bandwidth::Bandwidth() : memory_(kBytes) {
  const MutableByteView bytes = memory_.bytes();
  std::memset(bytes.data(), 1, bytes.size());  // pages that were never written are all one page
}

std::uint64_t Bandwidth::sweep(Parallel& parallel) const {
  Sweep sweep{memory_.bytes().data()};
  run_tasks(parallel, kBytes / kPiece, sweep);
  return sweep.sum;
}

}  // namespace skein::tool
