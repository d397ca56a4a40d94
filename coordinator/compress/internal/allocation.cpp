#include "coordinator/compress/internal/allocation.h"

#include <algorithm>
#include <tuple>

namespace skein {
namespace {

struct Step {
  double gain = 0;  // loss saved for a byte
  std::size_t matrix = 0;
  const FormatChoice* from = nullptr;
  const FormatChoice* to = nullptr;
};

// From each choice the step to the one that saves the most for a byte: the lower hull. What costs
// nothing comes first.
void add_steps(const MatrixChoices& matrix, std::size_t index, std::vector<Step>& steps) {
  const FormatChoice* at = &matrix.choices.front();
  for (;;) {
    Step best;
    for (const FormatChoice& choice : matrix.choices) {
      if (&choice <= at || choice.loss >= at->loss) continue;
      const auto bytes = static_cast<double>(choice.bytes - at->bytes);
      const double gain = (at->loss - choice.loss) / std::max(bytes, 1e-9);
      if (best.to == nullptr || gain > best.gain) best = {gain, index, at, &choice};
    }
    if (best.to == nullptr) return;
    steps.push_back(best);
    at = best.to;
  }
}

}  // namespace

Result<Allocation> allocate(std::span<const MatrixChoices> matrices, const Budget& budget) {
  Allocation out;
  std::vector<Step> steps;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const FormatChoice& smallest = matrices[i].choices.front();
    out.formats[matrices[i].name] = smallest.format;
    out.bytes += smallest.bytes;
    out.loss += smallest.loss;
    add_steps(matrices[i], i, steps);
  }
  if (budget.most_bytes && out.bytes > *budget.most_bytes) {
    return fail(Errc::kOutOfRoom,
                "the smallest matrices take " + std::to_string(out.bytes) + " bytes");
  }
  // Equal gains keep the order of the matrices; a matrix's own steps gain ever less.
  std::ranges::sort(steps, [](const Step& a, const Step& b) {
    return std::tuple(-a.gain, a.matrix, a.from) < std::tuple(-b.gain, b.matrix, b.from);
  });
  std::vector<bool> stopped(matrices.size(), false);
  for (const Step& step : steps) {
    if (budget.most_loss && out.loss <= *budget.most_loss) break;
    const std::uint64_t bytes = out.bytes + step.to->bytes - step.from->bytes;
    stopped[step.matrix] =
        stopped[step.matrix] || (budget.most_bytes && bytes > *budget.most_bytes);
    if (stopped[step.matrix]) continue;
    out.bytes = bytes;
    out.loss += step.to->loss - step.from->loss;
    out.formats[matrices[step.matrix].name] = step.to->format;
  }
  return out;
}

}  // namespace skein
