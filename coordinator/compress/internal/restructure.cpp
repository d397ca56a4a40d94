#include "coordinator/compress/internal/restructure.h"

#include <algorithm>

#include "coordinator/compress/internal/channel_scales.h"
#include "coordinator/compress/internal/low_rank.h"
#include "coordinator/compress/internal/pruning.h"

namespace skein {
namespace {

// The model before and after, and what both cost.
Result<void> replace(RunningModel& now, std::string name, const Checkpoint& changed,
                     const RestructureOptions& options, PressResult& result) {
  TechniqueReport report{.name = std::move(name), .bytes_before = now.bytes()};
  if (options.before) {
    const auto& all = result.techniques;
    report.perplexity_before = all.empty() ? options.before : all.back().perplexity_after;
  }
  TRY(RunningModel next, RunningModel::open(changed, nullptr));
  now = std::move(next);
  report.bytes_after = now.bytes();
  if (options.before) {
    TRY(report.perplexity_after, options.perplexity(*now.model));
  }
  result.techniques.push_back(std::move(report));
  return {};
}

}  // namespace

bool holds_codes(const PageSource& pages) {
  return std::ranges::any_of(pages.manifest().tensors,
                             [](const TensorEntry& tensor) { return is_quantized(tensor.format); });
}

Result<RunningModel> RunningModel::open(const Checkpoint& checkpoint, PageSource* pages) {
  RunningModel out{
      .checkpoint = checkpoint, .converted = nullptr, .pages = pages, .model = nullptr};
  const bool reordered = pages != nullptr && find_tensor(pages->manifest(), kHeadOrder) != nullptr;
  if (pages == nullptr || reordered || holds_codes(*pages)) {
    const ConvertOptions keep{.hash_pages = false};
    TRY(out.converted, convert(checkpoint, keep));
    out.pages = out.converted.get();
  }
  TRY(out.model, Model::open(*out.pages));
  return out;
}

std::uint64_t RunningModel::bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : pages->manifest().tensors) {
    bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  return bytes;
}

Result<void> restructure(RunningModel& now, const RestructureOptions& options,
                         PressResult& result) {
  const CompressionPlan& plan = options.plan;
  const auto progress = [&](double share, std::string_view what) {
    if (options.progress) options.progress(share, what);
  };
  if (plan.prune) {
    TRY(Pruned pruned,
        prune(now.checkpoint, *now.model, options.parallel, options.text, *plan.prune, progress));
    result.pruned = std::move(pruned.layers);
    TRY_VOID(replace(now, "prune", pruned.checkpoint, options, result));
  }
  if (plan.low_rank && !plan.low_rank->compensate) {
    TRY(LowRanked factored, factorize_model(now.checkpoint, *now.model, options.parallel,
                                            options.text, *plan.low_rank, progress));
    result.factored = std::move(factored.output_errors);
    TRY_VOID(replace(now, "lowrank", factored.checkpoint, options, result));
  }
  if (plan.scales > 0) {
    TRY(const Checkpoint scaled, scale_channels(now.checkpoint, *now.model, options.parallel,
                                                options.text, plan.scales, progress));
    TRY_VOID(replace(now, "scales", scaled, options, result));
  }
  return {};
}

}  // namespace skein
