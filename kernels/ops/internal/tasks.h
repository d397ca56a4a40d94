// run_tasks: job.run(i) for each i in [0, count), on the lent threads when there are several.
// The body captures one pointer, which std::function keeps without allocating.
#pragma once

#include "kernels/ops/parallel.h"

namespace skein {

template <class Job>
void run_tasks(Parallel& parallel, std::size_t count, Job& job) {
  if (count <= 1 || parallel.threads() <= 1) {
    for (std::size_t i = 0; i < count; ++i) job.run(i);
    return;
  }
  Job* const shared = &job;
  parallel.for_each(count, [shared](std::size_t i) { shared->run(i); });
}

}  // namespace skein
