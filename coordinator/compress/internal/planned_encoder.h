// PlannedEncoder: the stored bytes of each matrix as the plan has them, made while the artifact is
// laid out: the calibration pass moves on to a layer when its first matrix is asked for. One
// conversion; one thread, which lends others through Parallel.
#pragma once

#include <functional>

#include "common/convert/convert.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/internal/matrix_rounding.h"
#include "coordinator/compress/internal/output_importance.h"
#include "coordinator/compress/press.h"
#include "coordinator/compress/structure_plan.h"

namespace skein {

// Uniform steps for all matrices, in proportion to what an error of each costs.
struct StepPlan {
  double loss_step = 0;  // nats a token that a squared step costs: step^2 = loss_step / alpha * ...
  double exponent = 1;
  double price = 0;
  bool survey = false;  // each matrix in q4, q5 and q6, to choose from
  std::map<std::string, double, std::less<>> alphas = {};  // nats for each unit of relative error
};

// What became of a matrix with such steps.
struct SteppedMatrix {
  std::uint64_t weights = 0;
  std::uint64_t coded_bytes = 0;
  double squared_error = 0;  // relative
  double alpha = 0;
  struct Tried {
    std::uint64_t coded_bytes = 0;
    double squared_error = 0;
  };
  std::map<Format, Tried> formats = {};  // of a survey
};

class PlannedEncoder final : public MatrixEncoder {
 public:
  struct Options {
    std::map<std::string, Format, std::less<>> formats = {};  // of matrices
    Format otherwise = Format::kQ8;
    double damping = 0.01;
    bool feedback = true;                      // else all goes to the nearest, whatever was seen
    std::optional<LowRankPlan> residual = {};  // factors of what rounding these matrices missed
    std::string targets = {};                  // their letters
    std::optional<StepPlan> steps = {};
    const OutputImportance* importance = nullptr;  // with steps
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
  // With steps: of every matrix that takes them.
  const std::map<std::string, SteppedMatrix, std::less<>>& stepped() const { return stepped_; }

 private:
  Result<void> round(const TensorEntry& tensor, std::span<const float> values, MutableByteView out);
  bool resumes() const { return options_.finished && !options_.residual && !options_.steps; }
  bool take_finished(const TensorEntry& tensor, MutableByteView out);
  Result<void> keep(const TensorEntry& tensor, ByteView stored);
  void add_factors(const TensorEntry& tensor, std::span<const float> values, ByteView stored,
                   const InputStatistics& statistics);
  Result<const InputStatistics*> statistics_of(std::string_view tensor);
  static void survey(const TensorEntry& tensor, const MatrixRounding& rounding,
                     const UniformRule& rule, SteppedMatrix& stepped);
  UniformRule rule_of(const TensorEntry& tensor) const;

  Options options_;
  CalibrationPass* pass_;
  Parallel& parallel_;
  bool head_done_ = false;
  std::map<std::string, double, std::less<>> output_errors_;
  std::map<std::string, SteppedMatrix, std::less<>> stepped_;
  std::vector<CheckpointTensor> made_;
};

}  // namespace skein
