// Parallel: how a kernel's caller lends it threads. Kernels own none. Implementations:
// SerialParallel here, a pool in common/env/real. The split never decides a result: tasks write
// disjoint outputs and every float sum has one order inside its task.
#pragma once

#include <cstddef>
#include <functional>

namespace skein {

class Parallel {
 public:
  virtual ~Parallel() = default;
  virtual std::size_t threads() const = 0;
  // Calls body(i) for each i in [0, count) exactly once, on any threads; returns when all are done.
  // `body` must not throw. Not reentrant: body may not call for_each.
  virtual void for_each(std::size_t count, const std::function<void(std::size_t)>& body) = 0;
};

class SerialParallel final : public Parallel {
 public:
  std::size_t threads() const override { return 1; }
  void for_each(std::size_t count, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = 0; i < count; ++i) body(i);
  }
};

// job.run(i) for each i in [0, count), on the lent threads when there are several. The body
// captures one pointer, which std::function keeps without allocating.
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
