// LearnedText: the ids that a stage around the press learns from, and those held out of it. Value;
// one thread.
#pragma once

#include "common/model/evaluate.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/press.h"

namespace skein {

inline constexpr std::uint32_t kTextContext = 512;  // as `skein eval` has it

// Whole windows, evenly over the ids; at most `wanted`, one at least.
CalibrationText windows_of(std::span<const TokenId> ids, std::uint32_t wanted, std::string origin);

struct LearnedText {
  std::vector<TokenId> sampled;      // the model's own, where no file is named
  std::span<const TokenId> learned;  // what may be learned from: of those or of the file
  CalibrationText text;              // windows of it
  std::vector<TokenId> held_out;

  LearnedText() = default;
  LearnedText(LearnedText&&) = default;
  LearnedText& operator=(LearnedText&&) = default;

  // At most `windows` to learn from; of a sampled text `measured` more are held out. Errc::kUsage:
  // too little text.
  static Result<LearnedText> gather(const PressInput& input, const CompressionPlan& plan,
                                    const Model& model, std::uint32_t windows,
                                    std::uint32_t measured);
};

// On windows of kTextContext.
Result<EvalResult> loss_of(const Model& model, Parallel& parallel,
                           std::span<const TokenId> held_out);

}  // namespace skein
