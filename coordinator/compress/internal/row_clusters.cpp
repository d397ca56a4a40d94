#include "coordinator/compress/internal/row_clusters.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace skein {
namespace {

using Index = Eigen::Index;

constexpr Index kBlock = 256;  // rows that a task takes
constexpr int kMostSteps = 20;

class Clustering {
 public:
  Clustering(const RowMatrix& rows, std::uint32_t count, std::uint64_t seed, Parallel& parallel)
      : rows_(rows), parallel_(parallel), random_(seed), near_(to_size(rows.rows())) {
    found_.of.resize(near_.size());
    found_.centres.resize(count, rows.cols());
  }

  RowClusters run() {
    seed_centres();
    for (int step = 0; step < kMostSteps; ++step) {
      const std::vector<std::uint32_t> before = found_.of;
      assign();
      fill_empty();
      if (step > 0 && found_.of == before) break;
      move_centres();
    }
    return std::move(found_);
  }

 private:
  static std::size_t to_size(Index index) { return static_cast<std::size_t>(index); }

  template <class Body>
  void for_blocks(Body body) {
    const Index blocks = (rows_.rows() + kBlock - 1) / kBlock;
    parallel_.for_each(to_size(blocks), [&](std::size_t block) {
      const Index first = static_cast<Index>(block) * kBlock;
      body(first, std::min(kBlock, rows_.rows() - first));
    });
  }

  double uniform() {  // splitmix64
    std::uint64_t z = random_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }

  // k-means++: each next centre is a row, drawn by its squared distance to the nearest so far.
  void seed_centres() {
    std::ranges::fill(near_, std::numeric_limits<float>::max());
    Index chosen = static_cast<Index>(uniform() * static_cast<double>(rows_.rows()));
    for (Index k = 0; k < found_.centres.rows(); ++k) {
      found_.centres.row(k) = rows_.row(chosen);
      for_blocks([&](Index first, Index size) {
        for (Index i = first; i < first + size; ++i) {
          const float away = (rows_.row(i) - rows_.row(chosen)).squaredNorm();
          near_[to_size(i)] = std::min(near_[to_size(i)], away);
        }
      });
      double left = uniform() * std::accumulate(near_.begin(), near_.end(), 0.0);
      chosen = 0;
      for (Index i = 0; i < rows_.rows(); ++i) {
        if (near_[to_size(i)] > 0) chosen = i;
        left -= double{near_[to_size(i)]};
        if (left < 0) break;
      }
    }
  }

  // Each row to its nearest centre, the first of equally near ones.
  void assign() {
    const Eigen::VectorXf halves = found_.centres.rowwise().squaredNorm() / 2;
    for_blocks([&](Index first, Index size) {
      RowMatrix near = rows_.middleRows(first, size) * found_.centres.transpose();
      near.rowwise() -= halves.transpose();
      for (Index i = 0; i < size; ++i) {
        Index best = 0;
        const float most = near.row(i).maxCoeff(&best);
        found_.of[to_size(first + i)] = static_cast<std::uint32_t>(best);
        near_[to_size(first + i)] = rows_.row(first + i).squaredNorm() - 2 * most;
      }
    });
  }

  // A group without rows takes the row that is farthest from its centre, out of a group of several.
  void fill_empty() {
    std::vector<std::uint32_t> sizes(to_size(found_.centres.rows()));
    for (const std::uint32_t group : found_.of) ++sizes[group];
    for (std::uint32_t group = 0; group < sizes.size(); ++group) {
      if (sizes[group] != 0) continue;
      std::size_t farthest = found_.of.size();
      for (std::size_t i = 0; i < found_.of.size(); ++i) {
        if (sizes[found_.of[i]] < 2) continue;
        if (farthest == found_.of.size() || near_[i] > near_[farthest]) farthest = i;
      }
      CHECK(farthest < found_.of.size());  // there are at least as many rows as groups
      --sizes[found_.of[farthest]];
      found_.of[farthest] = group;
      near_[farthest] = 0;
      sizes[group] = 1;
    }
  }

  void move_centres() {
    Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(found_.centres.cols(), found_.centres.rows());
    std::vector<double> sizes(to_size(found_.centres.rows()));
    for (Index i = 0; i < rows_.rows(); ++i) {
      const std::uint32_t group = found_.of[to_size(i)];
      sums.col(group) += rows_.row(i).cast<double>().transpose();
      sizes[group] += 1;
    }
    for (Index k = 0; k < found_.centres.rows(); ++k) {
      found_.centres.row(k) = (sums.col(k) / sizes[to_size(k)]).transpose().cast<float>();
    }
  }

  const RowMatrix& rows_;
  Parallel& parallel_;
  std::uint64_t random_;
  std::vector<float> near_;  // squared distance to the nearest centre
  RowClusters found_;
};

}  // namespace

std::vector<std::uint32_t> RowClusters::order() const {
  std::vector<std::uint32_t> rows(of.size());
  std::iota(rows.begin(), rows.end(), 0U);
  std::ranges::stable_sort(rows, {}, [&](std::uint32_t row) { return of[row]; });
  return rows;
}

std::vector<std::uint32_t> RowClusters::first() const {
  std::vector<std::uint32_t> begins(static_cast<std::size_t>(centres.rows()) + 1);
  for (const std::uint32_t group : of) ++begins[group + 1];
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  return begins;
}

RowClusters cluster_rows(const RowMatrix& rows, std::uint32_t count, std::uint64_t seed,
                         Parallel& parallel) {
  CHECK(count >= 1 && static_cast<Index>(count) <= rows.rows());
  return Clustering(rows, count, seed, parallel).run();
}

}  // namespace skein
