// InputStatistics: what a matrix multiplied over a text: how large its inputs are, and how they go
// together. Gathered by a Runner's observer, one layer at a time; values, one thread (which lends
// others through Parallel).
#pragma once

#include <Eigen/Core>
#include <map>
#include <string>

#include "common/model/model.h"

namespace skein {

struct InputStatistics {
  std::uint64_t rows = 0;  // inputs seen
  Eigen::VectorXd sum;     // (width): of each channel
  Eigen::MatrixXf gram;    // (width, width): sum of x x^T; lower triangle
  Eigen::VectorXd fired;   // (width): how often it was not zero
  Eigen::VectorXf peak;    // (width): the largest magnitude

  std::uint32_t width() const { return static_cast<std::uint32_t>(gram.rows()); }
  double mean(std::uint32_t channel) const;
  double rms(std::uint32_t channel) const;  // root of the mean square
};

// Sums are the same bits for any number of threads: each block of the Gram matrix is one task's,
// over all inputs in order.
class StatisticsObserver final : public InputObserver {
 public:
  explicit StatisticsObserver(Parallel& parallel) : parallel_(parallel) {}

  void saw(std::string_view tensor, std::span<const float> inputs, std::uint32_t width) override;
  void clear() { by_tensor_.clear(); }
  // nullptr: nothing was seen of it.
  const InputStatistics* find(std::string_view tensor) const;
  // Errc::kCorrupt names a matrix with an input that is no number.
  Result<void> check_finite() const;

 private:
  Parallel& parallel_;
  std::map<std::string, InputStatistics, std::less<>> by_tensor_;
};

}  // namespace skein
