// MatrixRounding: one matrix's values to a format's stored bytes, by error feedback where the text
// says what it multiplies, to the nearest otherwise. One matrix at a time; one thread, which lends
// others through Parallel.
#pragma once

#include <optional>

#include "common/artifact/manifest.h"
#include "coordinator/compress/internal/uniform_rounding.h"

namespace skein {

// What is known about a matrix besides its values.
struct MatrixKnowledge {
  const InputStatistics* statistics = nullptr;  // of its inputs
  std::span<const float> importance = {};       // of its outputs' squared errors; empty: all alike
  bool feedback = true;                         // or each input for itself
  double damping = 0.01;
};

class MatrixRounding {
 public:
  // Errc::kCorrupt as ErrorFeedback::prepare's, naming the tensor.
  static Result<MatrixRounding> prepare(const TensorEntry& tensor, std::span<const float> values,
                                        const MatrixKnowledge& knowledge, Parallel& parallel);

  bool has_feedback() const { return has_feedback_; }
  // out.size() == stored_bytes(format, ...).
  void encode(Format format, MutableByteView out) const;
  // Whether encode_uniform can be called: rows and inputs are whole groups.
  bool takes_steps() const { return feedback_.has_value(); }
  // With steps as rule has them; rule.scale is in the units of power().
  void encode_uniform(Format format, const UniformRule& rule, MutableByteView out) const;
  // The mean square of what the matrix gives, each output times its importance; where the text does
  // not say, for inputs all alike.
  double power() const { return power_; }
  // The squared error of what the matrix gives, relative to what it gives: over the text where that
  // is known, else for inputs all alike (the Frobenius norm's).
  double squared_error(Format format, ByteView stored) const;

 private:
  MatrixRounding(const StoredValues& matrix, Parallel& parallel)
      : matrix_(matrix), parallel_(parallel) {}

  UniformRounding uniform(Format format, const UniformRule& rule) const;

  StoredValues matrix_;
  Parallel& parallel_;
  std::optional<ErrorFeedback> feedback_;  // of inputs unrelated where has_feedback_ is false
  bool has_feedback_ = false;
  double power_ = 0;
};

// ||W' - W||^2 / ||W||^2 of what is stored, decoded some rows at a time.
double squared_difference(const StoredValues& matrix, Format format, ByteView stored);

}  // namespace skein
