// Sensitivity: what each matrix's rounding costs the model. A matrix is rounded to the smallest
// format with the others left alone, and alpha is the divergence KL(p || p') of the next token's
// distributions, in nats a token, divided by the squared error that was made. (KL instead of the
// loss itself: it has no first-order term, so a few thousand tokens tell.) One thread, which lends
// others through Parallel.
#pragma once

#include <functional>

#include "common/convert/convert.h"
#include "coordinator/compress/internal/allocation.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/press.h"

namespace skein {

struct SensitivityOptions {
  std::uint32_t ids = 4096;  // of the text: its first windows
  bool feedback = true;      // error feedback, or rounding to nearest
  double damping = 0.01;
  // Of a matrix's outputs (MatrixKnowledge); none: all alike.
  std::function<std::vector<float>(const TensorEntry&, std::span<const float> values)> importance =
      {};
  FinishedWork* finished = nullptr;
  std::function<void(std::string_view tensor)> progress = {};  // after each matrix
};

// Of every matrix that can be quantized, in the checkpoint's order of use. `base` holds the
// checkpoint as kKeep stores it, `model` was opened on it.
Result<std::vector<MatrixChoices>> measure_sensitivity(const Checkpoint& checkpoint,
                                                       PageSource& base, const Model& model,
                                                       Parallel& parallel,
                                                       const CalibrationText& text,
                                                       const SensitivityOptions& options);

// "blocks.7.att.key.weight" -> 7; nullopt: of no layer.
std::optional<std::uint32_t> layer_of(std::string_view tensor);

}  // namespace skein
