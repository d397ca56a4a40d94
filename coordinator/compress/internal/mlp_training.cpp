#include "coordinator/compress/internal/mlp_training.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/ops/activations.h"

namespace skein {
namespace {

constexpr Eigen::Index kBatch = 128;
constexpr Eigen::Index kBlock = 128;  // neurons that a task takes
constexpr float kRate = 5e-3F;
constexpr float kBeta1 = 0.9F;
constexpr float kBeta2 = 0.99F;

class Random {  // splitmix64
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  // Xavier: uniform within sqrt(6 / (inputs + outputs)).
  void fill(RowMatrix& weights) {
    const float range = std::sqrt(6.0F / static_cast<float>(weights.rows() + weights.cols()));
    for (Eigen::Index i = 0; i < weights.size(); ++i) {
      const auto unit = static_cast<float>(next() >> 40) * 0x1p-23F - 1.0F;
      weights.data()[i] = unit * range;
    }
  }

 private:
  std::uint64_t state_;
};

class Adam {
 public:
  explicit Adam(RowMatrix& weights)
      : weights_(weights), mean_(RowMatrix::Zero(weights.rows(), weights.cols())), square_(mean_) {}
  void step(const RowMatrix& gradient, float rate) {
    power1_ *= kBeta1;
    power2_ *= kBeta2;
    mean_ = kBeta1 * mean_ + (1 - kBeta1) * gradient;
    square_ = kBeta2 * square_ + (1 - kBeta2) * gradient.cwiseAbs2();
    const float scale = rate / (1 - power1_);
    weights_.array() -= scale * mean_.array() / ((square_.array() / (1 - power2_)).sqrt() + 1e-8F);
  }

 private:
  RowMatrix& weights_;
  RowMatrix mean_, square_;
  float power1_ = 1, power2_ = 1;
};

// A batch's gradients.
class Batch {
 public:
  Batch(const Mlp& mlp, float positive_weight, Parallel& parallel)
      : mlp_(mlp), weight_(positive_weight), parallel_(parallel), up(mlp.up), down(mlp.down) {}

  void run(const RowMatrix& features, const RowMatrix& fired) {
    const Eigen::Index neurons = mlp_.up.rows();
    const Eigen::Index blocks = (neurons + kBlock - 1) / kBlock;
    const RowMatrix hidden = (features * mlp_.down.transpose()).cwiseMax(0.0F);
    std::vector<RowMatrix> shares(static_cast<std::size_t>(blocks));
    parallel_.for_each(shares.size(), [&](std::size_t task) {
      const Eigen::Index first = static_cast<Eigen::Index>(task) * kBlock;
      const Eigen::Index count = std::min(kBlock, neurons - first);
      RowMatrix error = hidden * mlp_.up.middleRows(first, count).transpose();
      for (Eigen::Index i = 0; i < error.rows(); ++i) {
        for (Eigen::Index j = 0; j < count; ++j) {
          const float p = sigmoid_of(error(i, j));
          error(i, j) = fired(i, first + j) != 0 ? weight_ * (p - 1) : p;
        }
      }
      error /= static_cast<float>(error.rows());
      up.middleRows(first, count).noalias() = error.transpose() * hidden;
      shares[task] = error * mlp_.up.middleRows(first, count);
    });
    RowMatrix back = shares[0];
    for (std::size_t i = 1; i < shares.size(); ++i) back += shares[i];
    back = (hidden.array() > 0).select(back, 0.0F);
    down.noalias() = back.transpose() * features;
  }

 private:
  const Mlp& mlp_;
  float weight_;
  Parallel& parallel_;

 public:
  RowMatrix up, down;
};

}  // namespace

RowMatrix Mlp::raw(const RowMatrix& features) const {
  const RowMatrix hidden = (features * down.transpose()).cwiseMax(0.0F);
  return hidden * up.transpose();
}

Mlp train_mlp(const RowMatrix& features, const RowMatrix& fired,
              std::span<const std::uint32_t> rows, const MlpShape& shape, Parallel& parallel) {
  Random random(shape.seed);
  Mlp mlp{RowMatrix(shape.hidden, features.cols()), RowMatrix(fired.cols(), shape.hidden)};
  random.fill(mlp.down);
  random.fill(mlp.up);
  const auto positive = static_cast<float>((fired.array() != 0).count());
  const auto all = static_cast<float>(fired.size());
  Batch batch(mlp, (all - positive) / std::max(positive, 1.0F), parallel);
  Adam down(mlp.down);
  Adam up(mlp.up);
  std::vector<std::uint32_t> order(rows.begin(), rows.end());
  const auto count = static_cast<Eigen::Index>(order.size());
  const Eigen::Index size = std::min(kBatch, count);
  const Eigen::Index steps = shape.epochs * (count / size);
  RowMatrix x(size, features.cols());
  RowMatrix y(size, fired.cols());
  for (Eigen::Index step = 0; step < steps; ++step) {
    const Eigen::Index at = step % (count / size) * size;
    for (std::size_t i = order.size(); at == 0 && i > 1; --i) {
      std::swap(order[i - 1], order[random.next() % i]);
    }
    for (Eigen::Index i = 0; i < size; ++i) {
      const std::uint32_t row = order[static_cast<std::size_t>(at + i)];
      x.row(i) = features.row(row);
      y.row(i) = fired.row(row);
    }
    batch.run(x, y);
    const float left = 1 - static_cast<float>(step) / static_cast<float>(steps);
    down.step(batch.down, kRate * left);
    up.step(batch.up, kRate * left);
  }
  return mlp;
}

}  // namespace skein
