#include "coordinator/compress/internal/output_importance.h"

#include <cmath>

#include "common/base/check.h"

namespace skein {
namespace {

// Added to every id's share, in mean shares: an id that the text lacks may come all the same, and
// a logit that is far off is dearer than its square.
constexpr double kEmbedded = 0.2;
constexpr double kPredicted = 1;

}  // namespace

OutputImportance::OutputImportance(std::span<const TokenId> ids, std::uint32_t vocab)
    : share_(vocab) {
  std::vector<double> counts(vocab, 0);
  for (const TokenId id : ids) counts.at(id) += 1;
  const double all = std::max(static_cast<double>(ids.size()), 1.0);
  for (std::size_t i = 0; i < share_.size(); ++i) {
    share_[i] = static_cast<float>(counts[i] / all * vocab);
  }
}

std::vector<float> OutputImportance::of(const TensorEntry& tensor,
                                        std::span<const float> values) const {
  const bool embeds = tensor.name == "emb.weight";
  if ((!embeds && tensor.name != "head.weight") || tensor.rows != share_.size()) return {};
  std::vector<float> out = share_;
  for (float& share : out) share += static_cast<float>(embeds ? kEmbedded : kPredicted);
  for (std::size_t row = 0; row < out.size() && embeds; ++row) {
    double sum = 0;
    double squares = 0;
    for (const float value : values.subspan(row * tensor.cols, tensor.cols)) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    const double mean = sum / tensor.cols;
    const double variance = squares / tensor.cols - mean * mean;
    out[row] /= static_cast<float>(std::max(variance, 1e-8));
  }
  return out;
}

}  // namespace skein
