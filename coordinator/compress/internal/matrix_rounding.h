// MatrixRounding: one matrix's values to a format's stored bytes, by error feedback where the text
// says what it multiplies, to the nearest otherwise. One matrix at a time; one thread, which lends
// others through Parallel.
#pragma once

#include <optional>

#include "common/artifact/manifest.h"
#include "coordinator/compress/internal/error_feedback.h"

namespace skein {

class MatrixRounding {
 public:
  // `statistics` may be nullptr. Errc::kCorrupt as ErrorFeedback::prepare's, naming the tensor.
  static Result<MatrixRounding> prepare(const TensorEntry& tensor, std::span<const float> values,
                                        const InputStatistics* statistics, double damping,
                                        Parallel& parallel);

  bool has_feedback() const { return feedback_.has_value(); }
  // out.size() == stored_bytes(format, ...).
  void encode(Format format, MutableByteView out) const;
  // The squared error of what the matrix gives, relative to what it gives: over the text where that
  // is known, else for inputs all alike (the Frobenius norm's).
  double squared_error(Format format, ByteView stored) const;

 private:
  MatrixRounding(const StoredValues& matrix, Parallel& parallel)
      : matrix_(matrix), parallel_(parallel) {}

  StoredValues matrix_;
  Parallel& parallel_;
  std::optional<ErrorFeedback> feedback_;
  double power_ = 0;
};

// ||W' - W||^2 / ||W||^2 of what is stored, decoded some rows at a time.
double squared_difference(const StoredValues& matrix, Format format, ByteView stored);

}  // namespace skein
