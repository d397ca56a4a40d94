// The press's stages around one another: what changes weights within, then sparsity, then the head.
#include "coordinator/compress/internal/head_stage.h"
#include "coordinator/compress/internal/press_weights.h"
#include "coordinator/compress/internal/restructure.h"
#include "coordinator/compress/internal/sparsity_stage.h"
#include "coordinator/compress/internal/tensor_reports.h"
#include "coordinator/compress/press.h"

namespace skein {
namespace {

constexpr std::uint64_t kEmptyProcess = 14'250'000;  // bytes, `skein --version` on 2026-11-26
constexpr std::uint64_t kSmallShare = 10;            // of bf16, that the preset small aims at
constexpr std::uint64_t kPagerTakes = 18'000'000;    // of the model 0.1B, at least

// A share of the weights in bf16 beside an empty process; none for a model so small that what a
// pager takes for itself is more than the share.
std::optional<std::uint64_t> small_budget(const Checkpoint& checkpoint) {
  std::uint64_t weights = 0;
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    std::uint64_t elements = 1;
    for (const std::uint32_t dimension : tensor.shape) elements *= dimension;
    weights += elements;
  }
  const std::uint64_t share = weights * 2 / kSmallShare;
  if (share < kPagerTakes) return std::nullopt;
  return kEmptyProcess + share;
}

}  // namespace

Result<PressResult> press(const Checkpoint& checkpoint, const ConvertOptions& options) {
  PressResult result;
  TRY(result.artifact, convert(checkpoint, options));
  TRY(result.tensors, compare(checkpoint, checkpoint, *result.artifact));
  return result;
}

Result<PressResult> press(const PressInput& input, const CompressionPlan& plan) {
  if (!plan.quantizes && !plan.only_head() && input.pages != nullptr && holds_codes(*input.pages)) {
    return fail(Errc::kUsage,
                "the model's matrices are quantized, and without quantize they would become f32",
                "--only", "add quantize to it, or start from the checkpoint");
  }
  const auto others = [&](const PressInput& what) { return press_weights(what, plan); };
  const auto sparse = [&](const PressInput& what) {
    return plan.sparsity.any() ? press_sparse(what, plan, others) : others(what);
  };
  TRY(PressResult result, plan.head ? press_head(input, plan, sparse) : sparse(input));
  if (plan.preset == kSmallPreset) {
    result.memory_budget = small_budget(input.checkpoint);
    if (result.memory_budget) {
      result.artifact->note("memory-budget " + std::to_string(*result.memory_budget));
    }
  }
  return result;
}

}  // namespace skein
