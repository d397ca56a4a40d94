#include "coordinator/compress/internal/planned_encoder.h"

#include <cmath>

#include "coordinator/compress/internal/low_rank.h"
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
  if (!take_finished(tensor, out)) {
    TRY_VOID(round(tensor, values, out));
    TRY_VOID(keep(tensor, out));
  }
  if (options_.progress) options_.progress(tensor.name);
  return {};
}

namespace {

std::string key_of(const TensorEntry& tensor) {
  return "matrix " + std::string(name_of(tensor.format)) + " " + tensor.name;
}

}  // namespace

// Kept: the root of the relative squared error of what comes out, below zero where that is not
// known, and the stored bytes. Factors of what was missed are made together with their matrix.
bool PlannedEncoder::take_finished(const TensorEntry& tensor, MutableByteView out) {
  if (options_.finished == nullptr || options_.residual) return false;
  const auto found = options_.finished->find(key_of(tensor));
  if (!found || found->size() != sizeof(double) + out.size()) return false;
  const auto error = load_le<double>(*found, 0);
  if (error >= 0) output_errors_[tensor.name] = error;
  std::ranges::copy(found->subspan(sizeof(double)), out.begin());
  return true;
}

Result<void> PlannedEncoder::keep(const TensorEntry& tensor, ByteView stored) {
  if (options_.finished == nullptr || options_.residual) return {};
  Buffer value;
  append_le(value, output_error(tensor.name).value_or(-1));
  append(value, stored);
  return options_.finished->keep(key_of(tensor), std::move(value));
}

Result<void> PlannedEncoder::round(const TensorEntry& tensor, std::span<const float> values,
                                   MutableByteView out) {
  TRY(const InputStatistics* const statistics, statistics_of(tensor.name));
  TRY(const MatrixRounding rounding,
      MatrixRounding::prepare(tensor, values, options_.feedback ? statistics : nullptr,
                              options_.damping, parallel_));
  rounding.encode(tensor.format, out);
  if (rounding.has_feedback()) {
    output_errors_[tensor.name] = std::sqrt(rounding.squared_error(tensor.format, out));
  }
  const char target = target_of(tensor.name);
  if (options_.residual && target != 0 && options_.targets.contains(target)) {
    CHECK(statistics != nullptr);
    add_factors(tensor, values, out, *statistics);
  }
  return {};
}

void PlannedEncoder::add_factors(const TensorEntry& tensor, std::span<const float> values,
                                 ByteView stored, const InputStatistics& statistics) {
  std::vector<float> missed(values.size());
  decode(tensor.format, tensor.layout, tensor.rows, tensor.cols, stored, missed);
  for (std::size_t i = 0; i < missed.size(); ++i) missed[i] = values[i] - missed[i];
  const DenseMatrix left_out{tensor.rows, tensor.cols, missed};
  for (CheckpointTensor& factor :
       factors_of({tensor.name, left_out, &statistics}, *options_.residual)) {
    made_.push_back(std::move(factor));
  }
}

std::optional<double> PlannedEncoder::output_error(std::string_view tensor) const {
  const auto found = output_errors_.find(tensor);
  return found == output_errors_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace skein
