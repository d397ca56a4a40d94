#include "coordinator/compress/internal/input_statistics.h"

#include <cmath>

namespace skein {
namespace {

using InputRows =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

constexpr Eigen::Index kBlock = 128;  // columns of a Gram matrix that one task adds to

}  // namespace

double InputStatistics::mean(std::uint32_t channel) const {
  return sum[channel] / static_cast<double>(rows);
}

double InputStatistics::rms(std::uint32_t channel) const {
  return std::sqrt(static_cast<double>(gram(channel, channel)) / static_cast<double>(rows));
}

void StatisticsObserver::saw(std::string_view tensor, std::span<const float> inputs,
                             std::uint32_t width) {
  auto found = by_tensor_.find(tensor);
  if (found == by_tensor_.end()) {
    found = by_tensor_.emplace(std::string(tensor), InputStatistics{}).first;
    found->second.sum.setZero(width);
    found->second.gram.setZero(width, width);
    found->second.fired.setZero(width);
    found->second.peak.setZero(width);
  }
  InputStatistics& to = found->second;
  const auto count = static_cast<Eigen::Index>(inputs.size() / width);
  const InputRows x(inputs.data(), count, width);
  to.rows += static_cast<std::uint64_t>(count);
  to.sum += x.cast<double>().colwise().sum().transpose();
  to.fired += (x.array() != 0.0F).cast<double>().matrix().colwise().sum().transpose();
  to.peak = to.peak.cwiseMax(x.cwiseAbs().colwise().maxCoeff().transpose());
  const Eigen::Index blocks = (width + kBlock - 1) / kBlock;
  parallel_.for_each(static_cast<std::size_t>(blocks), [&](std::size_t block) {
    const Eigen::Index first = static_cast<Eigen::Index>(block) * kBlock;
    const Eigen::Index columns = std::min<Eigen::Index>(kBlock, width - first);
    to.gram.block(first, first, width - first, columns).noalias() +=
        x.rightCols(width - first).transpose() * x.middleCols(first, columns);
  });
}

const InputStatistics* StatisticsObserver::find(std::string_view tensor) const {
  const auto found = by_tensor_.find(tensor);
  return found == by_tensor_.end() ? nullptr : &found->second;
}

Result<void> StatisticsObserver::check_finite() const {
  for (const auto& [name, statistics] : by_tensor_) {
    if (statistics.gram.diagonal().allFinite() && statistics.sum.allFinite()) continue;
    return fail(Errc::kCorrupt, "the inputs of a matrix are not finite on the calibration text",
                name, "the model's weights are damaged or diverged; use another checkpoint");
  }
  return {};
}

}  // namespace skein
