#include "kernels/ops/wkv.h"

#include <algorithm>

#include "kernels/isa/kernel_table.h"
#include "kernels/ops/internal/tasks.h"
#include "kernels/ops/reference.h"

namespace skein {
namespace {

constexpr std::uint32_t kLanes = 16;
constexpr std::size_t kHeadsPerTask = 4;

struct WkvJob {
  std::span<const WkvHead> heads;
  const KernelTable& kernels;

  void run(std::size_t task) const {
    const std::size_t first = task * kHeadsPerTask;
    const std::size_t count = std::min(kHeadsPerTask, heads.size() - first);
    for (const WkvHead& head : heads.subspan(first, count)) {
      head.size % kLanes == 0 ? kernels.wkv(head) : reference::wkv(head);
    }
  }
};

}  // namespace

void wkv(std::span<const WkvHead> heads, Parallel& parallel) {
  WkvJob job{heads, current_kernels()};
  run_tasks(parallel, (heads.size() + kHeadsPerTask - 1) / kHeadsPerTask, job);
}

}  // namespace skein
