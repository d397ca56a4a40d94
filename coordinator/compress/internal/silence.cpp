#include "coordinator/compress/internal/silence.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/model/weights.h"
#include "kernels/ops/matmul.h"

namespace skein {
namespace {

constexpr std::uint32_t kMeasuredTokens = 1024;
constexpr int kSteps = 18;  // of bisection, between geometric means

float rounded_down(float value) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & 0xFFFF0000U);
}

}  // namespace

RowMatrix value_rows_of(const Model& model, std::uint32_t layer) {
  const ChannelMix& ffn = model.weights().layers[layer].ffn;
  const Matrix& rows = ffn.value.rows;
  CHECK(!rows.is_absent());
  RowMatrix values(rows.rows(), rows.cols());
  for (std::uint32_t i = 0; i < rows.rows(); ++i) {
    read_row(rows.view().format, rows.cols(), rows.row_data(i),
             {values.row(i).data(), rows.cols()});
  }
  return values;
}

double tail_truncation(const LayerActivity& activity, const RowMatrix& values, float eps,
                       std::uint32_t tokens) {
  const Eigen::VectorXf lengths = values.rowwise().norm();
  const Eigen::Index count = std::min<Eigen::Index>(tokens, activity.fired.rows());
  const Eigen::Index stride = activity.fired.rows() / count;  // over all of the text
  double sum = 0;
  Eigen::RowVectorXf tail(values.cols());
  Eigen::RowVectorXf kept(values.cols());
  for (Eigen::Index token = 0; token < count; ++token) {
    const auto h = activity.fired.row(token * stride);
    tail.setZero();
    kept.setZero();
    for (Eigen::Index i = 0; i < values.rows(); ++i) {
      if (h[i] == 0) continue;
      (h[i] * lengths[i] < eps ? tail : kept) += h[i] * values.row(i);
    }
    const double whole = (tail + kept).norm();
    if (whole > 0) sum += static_cast<double>(tail.norm()) / whole;
  }
  return sum / static_cast<double>(count);
}

std::vector<float> thresholds_within(const LayerActivity& activity, const RowMatrix& values,
                                     double budget) {
  CHECK(budget > 0);
  const Eigen::VectorXf lengths = values.rowwise().norm();
  const float largest = activity.fired.maxCoeff() * lengths.maxCoeff();
  float low = std::max(largest, 1e-20F) * 1e-9F;  // within the budget, or as good as
  float high = std::max(largest, 1e-20F);
  for (int step = 0; step < kSteps; ++step) {
    const float middle = std::sqrt(low * high);
    const bool within = tail_truncation(activity, values, middle, kMeasuredTokens) <= budget;
    (within ? low : high) = middle;
  }
  std::vector<float> thresholds;
  for (const float length : lengths) {
    const float threshold = length > 0 ? low / length : 1e30F;
    thresholds.push_back(rounded_down(std::min(threshold, 1e30F)));
  }
  return thresholds;
}

}  // namespace skein
