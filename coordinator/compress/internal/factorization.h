// Factorization: a matrix told as two thin ones, W ~ left right, of the least error of a kind for
// that rank. Pure; any thread.
#pragma once

#include <vector>

#include "coordinator/compress/internal/input_statistics.h"
#include "coordinator/compress/structure_plan.h"

namespace skein {

struct Factorization {
  std::uint32_t rank = 0;
  std::vector<float> left;   // (outputs, rank)
  std::vector<float> right;  // (rank, inputs)
};

// W (outputs, inputs), row-major, a view.
struct DenseMatrix {
  std::uint32_t outputs = 0;
  std::uint32_t inputs = 0;
  std::span<const float> values = {};
};

// With C the identity (kSvd), the diagonal (kAwsvd) or all (kWhitened) of the mean of x x^T, the
// product nearest to W in tr((W - P) C (W - P)^T) is U U^T W, U the first eigenvectors of W C W^T:
// the same as the SVD of W C^(1/2) cut off, without inverting C. Each pair of a column and a row is
// given the same norm. The text is not looked at by kSvd (statistics may be nullptr).
Factorization factorize(const DenseMatrix& w, LowRankPlan::Method method,
                        const InputStatistics* statistics, std::uint32_t rank);

std::vector<float> product_of(const Factorization& factors);
// tr((W - P) G (W - P)^T) / tr(W G W^T): the outputs' squared error over the text.
double output_error(const DenseMatrix& w, std::span<const float> product,
                    const InputStatistics& statistics);

}  // namespace skein
