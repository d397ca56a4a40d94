#include "coordinator/compress/internal/head_sketch.h"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <limits>

#include "common/base/check.h"

namespace skein {
namespace {

using Index = Eigen::Index;

// The nearest float that is not below.
float rounded_up(double value) {
  const auto near = static_cast<float>(value * (1 + 1e-12));
  return double{near} >= value ? near
                               : std::nextafter(near, std::numeric_limits<float>::infinity());
}

// Directions of the inputs, not of their scatter: their mean counts too.
RowMatrix leading_directions(const RowMatrix& inputs, Index rank) {
  constexpr Index kBlock = 1024;
  Eigen::MatrixXd moments = Eigen::MatrixXd::Zero(inputs.cols(), inputs.cols());
  for (Index first = 0; first < inputs.rows(); first += kBlock) {
    const Index count = std::min(kBlock, inputs.rows() - first);
    const Eigen::MatrixXd some = inputs.middleRows(first, count).cast<double>();
    moments.selfadjointView<Eigen::Lower>().rankUpdate(some.transpose());
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solved(moments);
  return solved.eigenvectors().rightCols(rank).rowwise().reverse().transpose().cast<float>();
}

}  // namespace

HeadSketch make_head_sketch(const RowMatrix& rows, const RowMatrix& inputs,
                            const SketchForm& form) {
  const auto rank = static_cast<Index>(form.rank);
  CHECK(rank >= 1 && rank <= rows.cols() && inputs.cols() == rows.cols());
  HeadSketch sketch{.basis = leading_directions(inputs, rank)};
  RowMatrix coordinates = rows * sketch.basis.transpose();
  const auto vocab = static_cast<std::uint32_t>(rows.rows());
  const std::span<float> values(coordinates.data(), static_cast<std::size_t>(coordinates.size()));
  sketch.stored.resize(stored_bytes(form.format, Layout::kTiles, vocab, form.rank));
  encode(form.format, Layout::kTiles, vocab, form.rank, values, sketch.stored);
  decode(form.format, Layout::kTiles, vocab, form.rank, sketch.stored, values);
  const Eigen::MatrixXd basis = sketch.basis.cast<double>();
  for (Index v = 0; v < rows.rows(); ++v) {
    const Eigen::RowVectorXd row = rows.row(v).cast<double>();
    const Eigen::RowVectorXd told = coordinates.row(v).cast<double>();
    const Eigen::RowVectorXd missed = row - told * basis;
    sketch.inside.push_back(rounded_up((missed * basis.transpose()).norm()));
    sketch.beyond.push_back(rounded_up(missed.norm()));
    sketch.sizes.push_back(rounded_up(std::max(row.norm(), told.norm())));
  }
  return sketch;
}

}  // namespace skein
