#include "coordinator/compress/internal/planned_encoder.h"

#include <cmath>

#include "coordinator/compress/internal/matrix_rounding.h"
#include "coordinator/compress/internal/sensitivity.h"

namespace skein {

Format PlannedEncoder::format_of(std::string_view tensor) {
  const auto found = options_.formats.find(tensor);
  return found == options_.formats.end() ? options_.otherwise : found->second;
}

Result<const InputStatistics*> PlannedEncoder::statistics_of(std::string_view tensor) {
  if (pass_ == nullptr) return nullptr;
  const auto layer = layer_of(tensor);
  if (layer) {
    while (pass_->layer() <= *layer) TRY_VOID(pass_->run_layer());
  } else if (tensor == "head.weight" && !head_done_) {
    while (pass_->layer() < pass_->layers()) TRY_VOID(pass_->run_layer());
    TRY_VOID(pass_->run_head());
    head_done_ = true;
  }
  return pass_->statistics().find(tensor);
}

Result<void> PlannedEncoder::encode(const TensorEntry& tensor, std::span<const float> values,
                                    MutableByteView out) {
  TRY(const InputStatistics* const statistics, statistics_of(tensor.name));
  TRY(const MatrixRounding rounding,
      MatrixRounding::prepare(tensor, values, statistics, options_.damping, parallel_));
  rounding.encode(tensor.format, out);
  if (rounding.has_feedback()) {
    output_errors_[tensor.name] = std::sqrt(rounding.squared_error(tensor.format, out));
  }
  if (options_.progress) options_.progress(tensor.name);
  return {};
}

std::optional<double> PlannedEncoder::output_error(std::string_view tensor) const {
  const auto found = output_errors_.find(tensor);
  return found == output_errors_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace skein
