#include "coordinator/compress/internal/matrix_rounding.h"

namespace skein {
namespace {

bool is_neuron_major(const TensorEntry& tensor) {
  return tensor.transposed && tensor.layout == Layout::kRows;
}

// The mean square of each input, a share of their mean added.
std::vector<float> damped_squares(const InputStatistics& statistics, double damping) {
  std::vector<float> squares(statistics.width());
  double mean = 0;
  for (std::uint32_t i = 0; i < statistics.width(); ++i) {
    squares[i] = statistics.gram(i, i) / static_cast<float>(statistics.rows);
    mean += static_cast<double>(squares[i]) / statistics.width();
  }
  for (float& square : squares) square += static_cast<float>(damping * (mean > 0 ? mean : 1));
  return squares;
}

}  // namespace

Result<MatrixRounding> MatrixRounding::prepare(const TensorEntry& tensor,
                                               std::span<const float> values,
                                               const MatrixKnowledge& knowledge,
                                               Parallel& parallel) {
  const StoredValues matrix{.layout = tensor.layout,
                            .rows = tensor.rows,
                            .cols = tensor.cols,
                            .neuron_major = is_neuron_major(tensor),
                            .values = values,
                            .importance = knowledge.importance};
  MatrixRounding out(matrix, parallel);
  const InputStatistics* const statistics = knowledge.statistics;
  CHECK(statistics == nullptr || statistics->width() == matrix.inputs());
  const bool whole = tensor.cols % kGroup == 0 && matrix.inputs() % kGroup == 0;
  if (statistics != nullptr && whole && knowledge.feedback) {
    auto feedback = ErrorFeedback::prepare(*statistics, matrix.neuron_major, knowledge.damping);
    if (!feedback) {
      feedback.error().where = tensor.name;
      return tl::unexpected(std::move(feedback.error()));
    }
    out.feedback_ = std::move(*feedback);
    out.has_feedback_ = true;
  } else if (whole) {
    out.feedback_ = ErrorFeedback::unrelated(statistics == nullptr
                                                 ? std::vector<float>(matrix.inputs(), 1.0F)
                                                 : damped_squares(*statistics, knowledge.damping));
  } else {
    return out;
  }
  out.power_ = out.feedback_->power(matrix, values, {}, parallel);
  return out;
}

void MatrixRounding::encode(Format format, MutableByteView out) const {
  if (has_feedback_) return feedback_->encode(matrix_, format, parallel_, out);
  skein::encode(format, matrix_.layout, matrix_.rows, matrix_.cols, matrix_.values, out);
}

UniformRounding MatrixRounding::uniform(Format format, const UniformRule& rule) const {
  CHECK(takes_steps());
  UniformRule own = rule;
  own.scale *= power_ > 0 ? power_ : 1;
  return UniformRounding::prepare(matrix_, format, feedback_->energies(), own);
}

void MatrixRounding::encode_uniform(Format format, const UniformRule& rule,
                                    MutableByteView out) const {
  place(feedback_->round(matrix_, uniform(format, rule), parallel_), matrix_, format, out);
}

double MatrixRounding::squared_error(Format format, ByteView stored) const {
  if (!feedback_) return squared_difference(matrix_, format, stored);
  std::vector<float> rounded(matrix_.values.size());
  decode(format, matrix_.layout, matrix_.rows, matrix_.cols, stored, rounded);
  const double missed = feedback_->power(matrix_, rounded, matrix_.values, parallel_);
  return power_ > 0 ? missed / power_ : 0;
}

double squared_difference(const StoredValues& matrix, Format format, ByteView stored) {
  std::vector<float> some;
  double difference = 0;
  double norm = 0;
  for (std::uint32_t row = 0; row < matrix.rows; row += kTileRows) {
    const std::uint32_t rows = std::min(kTileRows, matrix.rows - row);
    const std::uint64_t bytes = stored_bytes(format, matrix.layout, rows, matrix.cols);
    some.resize(std::size_t{rows} * matrix.cols);
    decode(format, matrix.layout, rows, matrix.cols, stored.first(bytes), some);
    stored = stored.subspan(bytes);
    const auto exact = matrix.values.subspan(std::size_t{row} * matrix.cols, some.size());
    for (std::size_t i = 0; i < some.size(); ++i) {
      const double missed = static_cast<double>(some[i]) - exact[i];
      difference += missed * missed;
      norm += static_cast<double>(exact[i]) * exact[i];
    }
  }
  return norm > 0 ? difference / norm : 0;
}

}  // namespace skein
