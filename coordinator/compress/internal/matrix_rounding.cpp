#include "coordinator/compress/internal/matrix_rounding.h"

namespace skein {
namespace {

bool is_neuron_major(const TensorEntry& tensor) {
  return tensor.transposed && tensor.layout == Layout::kRows;
}

}  // namespace

Result<MatrixRounding> MatrixRounding::prepare(const TensorEntry& tensor,
                                               std::span<const float> values,
                                               const InputStatistics* statistics, double damping,
                                               Parallel& parallel) {
  const StoredValues matrix{.layout = tensor.layout,
                            .rows = tensor.rows,
                            .cols = tensor.cols,
                            .neuron_major = is_neuron_major(tensor),
                            .values = values};
  MatrixRounding out(matrix, parallel);
  const bool whole = tensor.cols % kGroup == 0 && matrix.inputs() % kGroup == 0;
  if (statistics == nullptr || !whole) return out;
  CHECK(statistics->width() == matrix.inputs());
  auto feedback = ErrorFeedback::prepare(*statistics, matrix.neuron_major, damping);
  if (!feedback) {
    feedback.error().where = tensor.name;
    return tl::unexpected(std::move(feedback.error()));
  }
  out.feedback_ = std::move(*feedback);
  out.power_ = out.feedback_->power(matrix, values, {}, parallel);
  return out;
}

void MatrixRounding::encode(Format format, MutableByteView out) const {
  if (feedback_) return feedback_->encode(matrix_, format, parallel_, out);
  skein::encode(format, matrix_.layout, matrix_.rows, matrix_.cols, matrix_.values, out);
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
