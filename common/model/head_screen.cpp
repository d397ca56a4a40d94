// Screening with exact rescoring (METHODS 9.5): few bits of every row of the head say which rows
// can be among the largest, and only those rows are multiplied.
//
// A row is w = B^T s + r: s its sketch (quantized), B a basis with as many rows as s has entries.
// For an input x (of a quantized head: what its int8 codes mean) let z be the computed B x, and
// y = x - B^T z. Whatever B and z are,
//   w x = s (B x) + r (B^T z + y) = s z' + s (B x - z') + (B r) z + r y,
// z' being z as the sketch's matrix multiplies it, so that by Cauchy and Schwarz
//   |w x - s z'| <= |B r| |z| + |r| |y| + |s| |B x - z'|.
// |B r|, |r| and max(|w|, |s|) of every row stand in the artifact, computed in double and rounded
// up. Every float sum here or in a kernel, of n products, is off by at most (n + 8) units in the
// last place of the product of the two lengths; kUnits counts them generously. So the bound holds
// for the logit that the dense head computes, bit for bit, and a row that is left out is smaller.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "common/model/internal/head_shortcuts.h"
#include "kernels/ops/norm.h"

namespace skein {
namespace {

constexpr double kUnit = 0x1p-24;
constexpr double kMargin = 16;            // terms of a sum, beside those it has
constexpr double kUnits = 4;              // a term's roundings, generously
constexpr std::uint32_t kLeastShare = 2;  // more than one tile in so many: the dense head is faster

double length_of(View x) {
  double sum = 0;
  for (const float value : x) sum += double{value} * value;
  return std::sqrt(sum);
}

// What an input's int8 codes mean.
void values_of_codes(const Inputs& input, Span out) {
  for (std::uint32_t i = 0; i < out.size(); ++i) {
    out[i] = input.scales[i / kGroup] * static_cast<float>(input.codes[i]);
  }
}

double distance(View a, View b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = double{a[i]} - double{b[i]};
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

}  // namespace

// scores = the sketch's logits; bounds = what no logit is above.
void HeadPass::find_scores(std::uint32_t row) {
  const HeadScreen& screen = weights_.head_shortcuts->screen;
  const std::uint32_t width = in_.width();
  const std::uint32_t rank = screen.rank();
  scratch_.input.resize(width);
  const Span x = scratch_.input;
  if (weights_.head.is_quantized()) {
    values_of_codes(in_.view().row(row), x);
  } else {
    std::ranges::copy(in_.row(row), x.begin());
  }
  InputBuffer& coordinates = scratch_.coordinates;
  coordinates.shape(1, rank);
  const Span z = coordinates.row(0);
  scratch_.remainder.assign(x.begin(), x.end());
  for (std::uint32_t j = 0; j < rank; ++j) {
    const View basis = View(screen.basis).subspan(std::size_t{j} * width, width);
    z[j] = ordered_dot(basis, x);
    for (std::uint32_t i = 0; i < width; ++i) scratch_.remainder[i] -= z[j] * basis[i];
  }
  const double input_length = length_of(x);
  const double inside = length_of(z);
  double coded = 0;  // |z - z'|
  if (screen.sketch.is_quantized()) {
    coordinates.quantize(0);
    std::vector<float>& values = scratch_.largest;  // for now
    values.resize(rank);
    values_of_codes(coordinates.view(), values);
    coded = distance(z, values);
  }
  const double root = std::sqrt(static_cast<double>(rank));
  const double by_width = kUnits * (width + kMargin) * kUnit * input_length;
  const double by_rank = kUnits * (rank + kMargin) * kUnit * (inside + input_length);
  const double beyond = length_of(scratch_.remainder) * (1 + 1e-6) + root * by_rank;
  const double rounding = coded * (1 + 1e-6) + root * by_width + by_width + by_rank;
  scratch_.scores.shape(1, weights_.head.rows());
  const Product product = {screen.sketch.view(), coordinates.view(), scratch_.scores.row(0).data()};
  matmul(std::span(&product, 1), parallel_);
  const View scores = scratch_.scores.row(0);
  scratch_.bounds.resize(scores.size());
  for (std::size_t v = 0; v < scores.size(); ++v) {
    const double bound = screen.inside[v] * inside * (1 + 1e-6) + screen.beyond[v] * beyond +
                         screen.sizes[v] * rounding;
    const double above = scores[v] + bound;
    scratch_.bounds[v] = static_cast<float>(above + 1e-6 * std::fabs(above));
  }
  const MatrixView view = screen.sketch.view();
  bytes_ += stored_bytes(view.format, view.layout, view.rows, view.cols) +
            (screen.basis.size() + 3 * scores.size()) * sizeof(float);
}

Result<bool> HeadPass::screened(std::span<float> logits, std::uint32_t most) {
  const std::uint32_t vocab = weights_.head.rows();
  scratch_.ordered.shape(1, vocab);
  for (std::uint32_t i = 0; i < in_.rows(); ++i) {
    TRY(const bool made, screened_row(i, most, scratch_.ordered.row(0)));
    if (!made) return false;
    put(scratch_.ordered.row(0), logits.subspan(std::size_t{i} * vocab, vocab));
  }
  return true;
}

Result<bool> HeadPass::screened_row(std::uint32_t row, std::uint32_t most, Span ordered) {
  find_scores(row);
  const View scores = scratch_.scores.row(0);
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(scores, finite)) return false;
  std::ranges::fill(ordered, -std::numeric_limits<float>::infinity());
  scratch_.marked.assign(tiles(), 0);
  std::vector<std::uint32_t>& ranked = scratch_.ranked;
  ranked.resize(scores.size());
  for (std::uint32_t v = 0; v < ranked.size(); ++v) ranked[v] = v;
  const auto last = ranked.begin() + (most - 1);
  std::ranges::nth_element(ranked, last, [&](std::uint32_t a, std::uint32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  for (std::uint32_t i = 0; i < most; ++i) mark(ranked[i], ranked[i] + 1);
  TRY_VOID(make_marked(row, ordered));
  // As many logits as are wanted are at least this large.
  std::vector<float>& largest = scratch_.largest;
  largest.clear();
  for (std::uint32_t v = 0; v < ordered.size(); ++v) {
    if (scratch_.marked[v / kTileRows] & kTileMade) largest.push_back(ordered[v]);
  }
  std::ranges::nth_element(largest, largest.begin() + (most - 1), std::greater<>());
  const float least = largest[most - 1];
  for (std::uint32_t v = 0; v < ordered.size(); ++v) {
    if (!(scratch_.bounds[v] < least)) mark(v, v + 1);
  }
  const auto wanted = static_cast<std::uint64_t>(
      std::ranges::count_if(scratch_.marked, [](std::uint8_t mark) { return mark != 0; }));
  if (wanted * kLeastShare > tiles()) return false;
  TRY_VOID(make_marked(row, ordered));
  return true;
}

}  // namespace skein
