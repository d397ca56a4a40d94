// RowClusters: a matrix's rows in groups of near ones, by k-means (Lloyd's steps from k-means++
// seeds). The same groups for the same rows and seed, whatever the threads. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/compress/internal/layer_activity.h"

namespace skein {

struct RowClusters {
  std::vector<std::uint32_t> of;  // each row's group
  RowMatrix centres;              // (groups, cols)

  // Rows of group 0 in their order, then those of group 1, and so on; and where each group begins
  // there (groups + 1 numbers).
  std::vector<std::uint32_t> order() const;
  std::vector<std::uint32_t> first() const;
};

// 1 <= count <= rows.rows(); finite rows. No group is empty.
RowClusters cluster_rows(const RowMatrix& rows, std::uint32_t count, std::uint64_t seed,
                         Parallel& parallel);

}  // namespace skein
