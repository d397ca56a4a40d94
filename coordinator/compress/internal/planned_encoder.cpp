#include "coordinator/compress/internal/planned_encoder.h"

#include <cmath>

#include "coordinator/compress/internal/coded_size.h"
#include "coordinator/compress/internal/low_rank.h"
#include "coordinator/compress/internal/matrix_rounding.h"
#include "coordinator/compress/internal/sensitivity.h"

namespace skein {
namespace {

constexpr double kMostError = 0.05;  // squared, relative, that a matrix's steps are meant to make

}  // namespace

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

// A matrix that the loss hardly feels keeps some of its shape all the same: an alpha near zero is
// noise.
UniformRule PlannedEncoder::rule_of(const TensorEntry& tensor) const {
  const StepPlan& plan = *options_.steps;
  const auto found = plan.alphas.find(tensor.name);
  const double alpha = found == plan.alphas.end() ? 0 : found->second;
  const double weights = static_cast<double>(tensor.rows) * tensor.cols;
  const double largest = 12 * kMostError / weights;
  return {.scale = alpha * largest > plan.loss_step ? plan.loss_step / alpha : largest,
          .exponent = plan.exponent,
          .price = plan.price};
}

void PlannedEncoder::survey(const TensorEntry& tensor, const MatrixRounding& rounding,
                            const UniformRule& rule, SteppedMatrix& stepped) {
  stepped.formats[tensor.format] = {stepped.coded_bytes, stepped.squared_error};
  TensorEntry other = tensor;
  Buffer stored;
  for (const Format format : {Format::kQ4, Format::kQ5, Format::kQ6}) {
    if (format == tensor.format) continue;
    other.format = format;
    stored.resize(stored_bytes(format, tensor.layout, tensor.rows, tensor.cols));
    rounding.encode_uniform(format, rule, stored);
    stepped.formats[format] = {coded_bytes(other, stored), rounding.squared_error(format, stored)};
  }
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
// known, and the stored bytes. Factors of what was missed are made together with their matrix, and
// steps differ from one encoding to the next.
bool PlannedEncoder::take_finished(const TensorEntry& tensor, MutableByteView out) {
  if (!resumes()) return false;
  const auto found = options_.finished->find(key_of(tensor));
  if (!found || found->size() != sizeof(double) + out.size()) return false;
  const auto error = load_le<double>(*found, 0);
  if (error >= 0) output_errors_[tensor.name] = error;
  std::ranges::copy(found->subspan(sizeof(double)), out.begin());
  return true;
}

Result<void> PlannedEncoder::keep(const TensorEntry& tensor, ByteView stored) {
  if (!resumes()) return {};
  Buffer value;
  append_le(value, output_error(tensor.name).value_or(-1));
  append(value, stored);
  return options_.finished->keep(key_of(tensor), std::move(value));
}

Result<void> PlannedEncoder::round(const TensorEntry& tensor, std::span<const float> values,
                                   MutableByteView out) {
  TRY(const InputStatistics* const statistics, statistics_of(tensor.name));
  std::vector<float> importance;
  if (options_.importance != nullptr) importance = options_.importance->of(tensor, values);
  TRY(const MatrixRounding rounding, MatrixRounding::prepare(tensor, values,
                                                             {.statistics = statistics,
                                                              .importance = importance,
                                                              .feedback = options_.feedback,
                                                              .damping = options_.damping},
                                                             parallel_));
  if (options_.steps && rounding.takes_steps()) {
    const UniformRule rule = rule_of(tensor);
    SteppedMatrix& stepped = stepped_[tensor.name];
    stepped.weights = values.size();
    rounding.encode_uniform(tensor.format, rule, out);
    stepped.coded_bytes = coded_bytes(tensor, out);
    stepped.squared_error = rounding.squared_error(tensor.format, out);
    const auto alpha = options_.steps->alphas.find(tensor.name);
    stepped.alpha = alpha == options_.steps->alphas.end() ? 0 : alpha->second;
    if (options_.steps->survey) survey(tensor, rounding, rule, stepped);
    output_errors_[tensor.name] = std::sqrt(stepped.squared_error);
  } else {
    rounding.encode(tensor.format, out);
    if (rounding.has_feedback()) {
      output_errors_[tensor.name] = std::sqrt(rounding.squared_error(tensor.format, out));
    }
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
