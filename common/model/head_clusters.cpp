// RWKV-Lite's hierarchical head (arXiv 2412.10856): the likeliest clusters of tokens have their
// exact logits, every other cluster one that shares its probability among its tokens. The known
// tokens' weights are summed relative to one maximum over all of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "common/model/internal/head_shortcuts.h"
#include "kernels/ops/log.h"
#include "kernels/ops/norm.h"

namespace skein {

// Marks clusters as known, likeliest first, until they have the mass.
void HeadPass::look_into(std::span<const float> scores) {
  const HeadClusters& clusters = weights_.head_shortcuts->clusters;
  const double all = log_sum_exp(scores);
  std::vector<std::uint32_t>& ranked = scratch_.ranked;
  ranked.resize(clusters.count());
  for (std::uint32_t j = 0; j < clusters.count(); ++j) ranked[j] = j;
  std::ranges::sort(ranked, [&](std::uint32_t a, std::uint32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  scratch_.known.assign(clusters.count(), 0);
  scratch_.marked.assign(tiles(), 0);
  double mass = 0;
  for (std::uint32_t taken = 0; taken < clusters.count(); ++taken) {
    const bool enough = taken >= clusters.most || mass >= clusters.mass;
    if (taken >= clusters.least && enough) break;
    const std::uint32_t j = ranked[taken];
    mass += double_exp(scores[j] - all);
    scratch_.known[j] = 1;
    mark(clusters.first[j], clusters.first[j + 1]);
  }
}

Result<void> HeadPass::clustered(std::uint32_t row, bool all_made, Span ordered) {
  const HeadClusters& clusters = weights_.head_shortcuts->clusters;
  const std::size_t width = in_.width();
  scratch_.scores.shape(1, clusters.count());
  const Span scores = scratch_.scores.row(0);
  for (std::size_t j = 0; j < scores.size(); ++j) {
    const View weight = View(clusters.weight).subspan(j * width, width);
    scores[j] = ordered_dot(weight, in_.row(row)) + clusters.bias[j];
  }
  bytes_ += (clusters.weight.size() + clusters.bias.size()) * sizeof(float);
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(scores, finite)) {  // nothing sound comes of it; as it would dense
    if (!all_made) dense_row(row, ordered);
    return {};
  }
  look_into(scores);
  if (!all_made) TRY_VOID(make_marked(row, ordered));
  const std::vector<std::uint8_t>& known = scratch_.known;
  const auto rows_of = [&](std::uint32_t j) {
    return ordered.subspan(clusters.first[j], clusters.first[j + 1] - clusters.first[j]);
  };
  float largest = -std::numeric_limits<float>::infinity();
  for (std::uint32_t j = 0; j < clusters.count(); ++j) {
    if (known[j] != 0) largest = std::max(largest, *std::ranges::max_element(rows_of(j)));
  }
  if (!std::isfinite(largest)) return {};
  const double all = log_sum_exp(scores);
  double weight = 0;  // of known tokens, the likeliest of them being 1
  double mass = 0;    // of known clusters
  for (std::uint32_t j = 0; j < clusters.count(); ++j) {
    if (known[j] == 0) continue;
    mass += double_exp(scores[j] - all);
    for (const float logit : rows_of(j)) weight += double_exp(double{logit} - largest);
  }
  const double common = largest + double_log(weight) - double_log(mass) - all;
  for (std::uint32_t j = 0; j < clusters.count(); ++j) {
    if (known[j] != 0) continue;
    const Span rows = rows_of(j);
    const double logit = common + scores[j] - double_log(static_cast<double>(rows.size()));
    std::ranges::fill(rows, static_cast<float>(logit));
  }
  return {};
}

}  // namespace skein
