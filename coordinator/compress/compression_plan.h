// CompressionPlan: what a compression will do, decided from what was asked before anything is
// touched. Pure; values, any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/artifact/artifact_file.h"
#include "common/base/result.h"
#include "common/predict/neuron_predictor.h"
#include "coordinator/compress/structure_plan.h"
#include "coordinator/compress/token_plan.h"
#include "kernels/ops/format.h"

namespace skein {

// What somebody asked for.
struct CompressionRequest {
  std::string preset;                          // "" = none
  std::optional<double> bits_per_weight;       // as `skein inspect` counts them
  std::optional<std::uint64_t> memory_budget;  // bytes of weights that stay in memory
  std::vector<std::string> settings;           // technique.key=value
  std::vector<std::string> only;               // techniques; empty = all of the plan
  std::string calibration;                     // a text file; "" = sampled from the model
  std::string held_out;                        // a text file; "" = none
};

// What counts against a budget of bytes.
enum class Counted : unsigned char {
  kAll,       // every tensor, embedding and head and value bounds included
  kResident,  // all but the embedding, of which only the rows in use are in memory
};

// The technique `sparsity`: which zeros of the channel mix are used, and how they are foreseen.
struct SparsityPlan {
  double cett = 0;                   // budget of thresholds; 0: only exact zeros
  bool order = false;                // hot neurons first
  std::vector<ScoreKind> predictor;  // empty: none
  bool any() const { return cett > 0 || order || !predictor.empty(); }
};

// Entropy-constrained quantization: steps that follow from what an error costs, codes that cost few
// bits once they are entropy coded (internal/uniform_rounding.h).
struct EntropyPlan {
  double bits = 3.6;    // a weight once coded, at most; all tensors count
  double price = 0;     // of a coded bit, in squared steps; 0: the nearest code
  double exponent = 1;  // squared steps go with the cost of an error to minus this power
  std::optional<Format> format = {};  // that is run; none: the smallest that spans the codes
};

// The preset for least memory while generating: all techniques that cost little, and a budget of
// memory that goes with it (PressResult::memory_budget).
inline constexpr std::string_view kSmallPreset = "small";

struct CompressionPlan {
  enum class Rounding : unsigned char { kNearest, kErrorFeedback };

  // In this order; the neurons' order of `sparsity` before all, its thresholds and predictors after
  // quantizing, what spares reading the head after them, the coding of pages last.
  std::string preset;
  std::optional<EmbeddingPlan> embedding;
  std::optional<PrunePlan> prune;
  std::optional<LowRankPlan> low_rank;  // what rounding missed: with quantizing
  bool quantizes = true;                // false: every matrix is kept as it is
  Rounding rounding = Rounding::kNearest;
  Format format = Format::kQ8;  // of every matrix, unless the sensitivities choose
  double damping = 0.01;        // of error feedback
  double scales = 0;            // exponent of activation-aware channel scales; 0: none

  std::optional<EntropyPlan> entropy;

  // Formats chosen by sensitivity, within any of these.
  std::optional<double> bits_per_weight;
  std::optional<double> resident_bits;  // a weight of all but the embedding
  std::optional<std::uint64_t> memory_budget;
  std::optional<double> most_loss;  // nats a token: ln of the ratio of perplexities
  std::uint32_t sensitivity_ids = 4096;

  std::uint32_t calibration_ids = 16384;
  std::string calibration;
  std::string held_out;
  std::uint32_t held_out_ids = 16384;

  SparsityPlan sparsity;
  std::optional<HeadPlan> head;

  PageCoding pages = PageCoding::kPlain;  // of the file
  bool only_pages = false;                // of an artifact that is there; nothing else happens

  bool allocates() const { return bits_per_weight || memory_budget || most_loss || entropy; }
  bool has_feedback() const { return quantizes && rounding == Rounding::kErrorFeedback; }
  bool restructures() const { return prune || low_rank; }
  // Every tensor is kept, and the head gets company.
  bool only_head() const {
    return head && !quantizes && !restructures() && scales == 0 && !embedding && !sparsity.any();
  }
  bool calibrates() const { return allocates() || has_feedback() || restructures() || scales > 0; }
  // The embedding is free under a budget of memory.
  Counted counted() const {
    return memory_budget || resident_bits ? Counted::kResident : Counted::kAll;
  }

  // What a manifest says of prune and lowrank: "prune-newton-0.05", "lowrank-whitened-f8".
  std::vector<std::string> structure_techniques() const;
  // What will happen, a line a step, in order.
  std::vector<std::string> steps() const;

  // Errc::kUsage: a setting that is malformed, unknown or of a wrong value, or two that contradict
  // each other, and why.
  static Result<CompressionPlan> make(const CompressionRequest& request);
};

}  // namespace skein
