#include "coordinator/compress/internal/cluster_training.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops/log.h"

namespace skein {
namespace {

using Index = Eigen::Index;

constexpr Index kBatch = 128;
constexpr float kRate = 3e-3F;
constexpr float kBeta1 = 0.9F;
constexpr float kBeta2 = 0.99F;

// Softmax of each row, in place.
void to_probabilities(RowMatrix& rows) {
  for (Index i = 0; i < rows.rows(); ++i) {
    const std::span<float> row(rows.row(i).data(), static_cast<std::size_t>(rows.cols()));
    const double all = log_sum_exp(row);
    for (float& value : row) value = static_cast<float>(double_exp(value - all));
  }
}

RowMatrix answers(const ClusterHead& head, const RowMatrix& inputs) {
  RowMatrix out = inputs * head.weight.transpose();
  out.rowwise() += head.bias;
  to_probabilities(out);
  return out;
}

template <class Values>
class Adam {
 public:
  explicit Adam(Values& values) : values_(values) {
    mean_ = Values::Zero(values.rows(), values.cols());
    square_ = mean_;
  }
  void step(const Values& gradient, float rate) {
    power1_ *= kBeta1;
    power2_ *= kBeta2;
    mean_ = kBeta1 * mean_ + (1 - kBeta1) * gradient;
    square_ = kBeta2 * square_ + (1 - kBeta2) * gradient.cwiseAbs2();
    values_.array() -=
        rate / (1 - power1_) * mean_.array() / ((square_.array() / (1 - power2_)).sqrt() + 1e-8F);
  }

 private:
  Values& values_;
  Values mean_, square_;
  float power1_ = 1, power2_ = 1;
};

}  // namespace

ClusterHead train_cluster_head(const RowMatrix& inputs, const RowMatrix& targets, ClusterHead start,
                               std::uint32_t epochs) {
  ClusterHead head = std::move(start);
  Adam weight(head.weight);
  Adam bias(head.bias);
  const Index batches = std::max<Index>(inputs.rows() / kBatch, 1);
  const Index size = std::min(kBatch, inputs.rows());
  const Index steps = batches * epochs;
  RowMatrix x(size, inputs.cols());
  RowMatrix wanted(size, targets.cols());
  for (Index step = 0; step < steps; ++step) {
    // A batch takes tokens from all over the text.
    for (Index i = 0; i < size; ++i) {
      const Index token = i * batches + step % batches;
      x.row(i) = inputs.row(token);
      wanted.row(i) = targets.row(token);
    }
    const RowMatrix error = (answers(head, x) - wanted) / static_cast<float>(size);
    const RowMatrix by_weight = error.transpose() * x;
    const Eigen::RowVectorXf by_bias = error.colwise().sum();
    const float rate = kRate * (1 - static_cast<float>(step) / static_cast<float>(steps));
    weight.step(by_weight, rate);
    bias.step(by_bias, rate);
  }
  return head;
}

double divergence_of(const ClusterHead& head, const RowMatrix& inputs, const RowMatrix& targets) {
  const RowMatrix told = answers(head, inputs);
  double sum = 0;
  for (Index i = 0; i < told.rows(); ++i) {
    for (Index j = 0; j < told.cols(); ++j) {
      const double p = double{targets(i, j)};
      if (p <= 0) continue;
      sum += p * (double_log(p) - double_log(std::max(double{told(i, j)}, 1e-30)));
    }
  }
  return sum / static_cast<double>(told.rows());
}

}  // namespace skein
