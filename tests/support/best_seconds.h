// best_seconds: how long something takes when nothing disturbs it. Benches only.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>

namespace skein::test {

inline double best_seconds(int rounds, const std::function<void()>& body) {
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

}  // namespace skein::test
