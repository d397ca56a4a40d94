// PlannedEncoder: the stored bytes of each matrix as the plan has them, made while the artifact is
// laid out: the calibration pass moves on to a layer when its first matrix is asked for. One
// conversion; one thread, which lends others through Parallel.
#pragma once

#include <functional>

#include "common/convert/convert.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/press.h"

namespace skein {

class PlannedEncoder final : public MatrixEncoder {
 public:
  struct Options {
    std::map<std::string, Format, std::less<>> formats = {};  // of matrices
    Format otherwise = Format::kQ8;
    double damping = 0.01;
    bool feedback = true;                      // else all goes to the nearest, whatever was seen
    std::optional<LowRankPlan> residual = {};  // factors of what rounding these matrices missed
    std::string targets = {};                  // their letters
    FinishedWork* finished = nullptr;
    std::function<void(std::string_view tensor)> progress = {};
  };
  // `pass` is nullptr (everything goes to the nearest) or stands before the first layer.
  PlannedEncoder(Options options, CalibrationPass* pass, Parallel& parallel)
      : options_(std::move(options)), pass_(pass), parallel_(parallel) {}

  Format format_of(std::string_view tensor) override;
  Result<void> encode(const TensorEntry& tensor, std::span<const float> values,
                      MutableByteView out) override;
  std::span<const CheckpointTensor> made() override { return made_; }

  // The relative error of its outputs over the text; nullopt where that is not known.
  std::optional<double> output_error(std::string_view tensor) const;

 private:
  Result<void> round(const TensorEntry& tensor, std::span<const float> values, MutableByteView out);
  bool take_finished(const TensorEntry& tensor, MutableByteView out);
  Result<void> keep(const TensorEntry& tensor, ByteView stored);
  void add_factors(const TensorEntry& tensor, std::span<const float> values, ByteView stored,
                   const InputStatistics& statistics);
  Result<const InputStatistics*> statistics_of(std::string_view tensor);

  Options options_;
  CalibrationPass* pass_;
  Parallel& parallel_;
  bool head_done_ = false;
  std::map<std::string, double, std::less<>> output_errors_;
  std::vector<CheckpointTensor> made_;
};

}  // namespace skein
