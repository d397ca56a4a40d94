#include "coordinator/compress/internal/factorization.h"

#include <Eigen/Eigenvalues>
#include <cmath>

namespace skein {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMatrix> map_of(std::span<const float> values, std::uint32_t rows,
                                   std::uint32_t cols) {
  CHECK(values.size() == std::size_t{rows} * cols);
  return {values.data(), rows, cols};
}

Eigen::MatrixXd weighed_square(const Eigen::MatrixXd& w, LowRankPlan::Method method,
                               const InputStatistics* statistics) {
  if (method == LowRankPlan::Method::kSvd) return w * w.transpose();
  const double share = 1 / static_cast<double>(statistics->rows);
  if (method == LowRankPlan::Method::kAwsvd) {
    const Eigen::VectorXd energy = statistics->gram.diagonal().cast<double>() * share;
    return w * energy.asDiagonal() * w.transpose();
  }
  const Eigen::MatrixXd gram = statistics->gram.cast<double>() * share;
  const Eigen::MatrixXd through = gram.selfadjointView<Eigen::Lower>() * w.transpose();
  return w * through;
}

}  // namespace

Factorization factorize(const DenseMatrix& dense, LowRankPlan::Method method,
                        const InputStatistics* statistics, std::uint32_t rank) {
  CHECK(rank > 0 && rank <= dense.outputs);
  const Eigen::MatrixXd w = map_of(dense.values, dense.outputs, dense.inputs).cast<double>();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      weighed_square(w, method, statistics));
  CHECK(solver.info() == Eigen::Success);
  const auto count = static_cast<Eigen::Index>(rank);
  Eigen::MatrixXd left = solver.eigenvectors().rightCols(count).rowwise().reverse();
  Eigen::MatrixXd right = left.transpose() * w;
  for (Eigen::Index k = 0; k < count; ++k) {
    const double scale = std::sqrt(right.row(k).norm());
    if (!(scale > 0)) continue;
    left.col(k) *= scale;
    right.row(k) /= scale;
  }
  Factorization out{.rank = rank, .left = {}, .right = {}};
  const RowMatrix left_rows = left.cast<float>();
  const RowMatrix right_rows = right.cast<float>();
  out.left.assign(left_rows.data(), left_rows.data() + left_rows.size());
  out.right.assign(right_rows.data(), right_rows.data() + right_rows.size());
  return out;
}

std::vector<float> product_of(const Factorization& factors) {
  const auto outputs = static_cast<std::uint32_t>(factors.left.size() / factors.rank);
  const auto inputs = static_cast<std::uint32_t>(factors.right.size() / factors.rank);
  const RowMatrix product =
      map_of(factors.left, outputs, factors.rank) * map_of(factors.right, factors.rank, inputs);
  return {product.data(), product.data() + product.size()};
}

double output_error(const DenseMatrix& dense, std::span<const float> product,
                    const InputStatistics& statistics) {
  const RowMatrix w = map_of(dense.values, dense.outputs, dense.inputs);
  const RowMatrix missed = w - map_of(product, dense.outputs, dense.inputs);
  const auto power = [&](const RowMatrix& of) {
    const Eigen::MatrixXf through =
        statistics.gram.selfadjointView<Eigen::Lower>() * of.transpose();
    return (through.transpose().array() * of.array()).cast<double>().sum();
  };
  const double all = power(w);
  return all > 0 ? power(missed) / all : 0;
}

}  // namespace skein
