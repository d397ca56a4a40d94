#include "coordinator/compress/internal/learned_text.h"

#include <algorithm>

namespace skein {
namespace {

constexpr std::uint64_t kSamplingSeed = 20251126;

}  // namespace

CalibrationText windows_of(std::span<const TokenId> ids, std::uint32_t wanted, std::string origin) {
  const std::size_t fit = ids.size() / kTextContext;
  const std::size_t count = std::clamp<std::size_t>(fit, 1, std::max(wanted, 1U));
  CalibrationText text{
      .context = static_cast<std::uint32_t>(std::min<std::size_t>(ids.size(), kTextContext)),
      .origin = std::move(origin)};
  for (std::size_t i = 0; i < count; ++i) {
    const auto window = ids.subspan((ids.size() - text.context) / count * i, text.context);
    text.ids.insert(text.ids.end(), window.begin(), window.end());
  }
  return text;
}

Result<LearnedText> LearnedText::gather(const PressInput& input, const CompressionPlan& plan,
                                        const Model& model, std::uint32_t windows,
                                        std::uint32_t measured) {
  LearnedText out;
  out.held_out.assign(input.held_out.begin(), input.held_out.end());
  if (plan.calibration.empty()) {
    TRY(CalibrationText all,
        sample_text(model, input.parallel, windows + measured, kTextContext, kSamplingSeed));
    const std::span<const TokenId> ids = all.ids;
    const std::size_t part = std::size_t{windows} * kTextContext;
    out.sampled.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(part));
    out.learned = out.sampled;
    out.text = windows_of(out.learned, windows, all.origin);
    if (out.held_out.empty()) {
      const auto rest = ids.subspan(part);
      out.held_out.assign(rest.begin(), rest.end());
    }
    return out;
  }
  const std::span<const TokenId> ids = input.text;
  if (ids.size() < kTextContext) {
    return fail(
        Errc::kUsage,
        "the calibration text has " + std::to_string(ids.size()) + " ids, too few to learn from",
        plan.calibration, "give at least " + std::to_string(kTextContext));
  }
  const std::size_t part = out.held_out.empty() ? ids.size() / 4 * 3 : ids.size();
  out.learned = ids.first(part);
  out.text = windows_of(out.learned, windows, plan.calibration);
  if (out.held_out.empty()) {
    const auto rest =
        ids.subspan(part).first(std::min<std::size_t>(ids.size() - part, plan.held_out_ids));
    out.held_out.assign(rest.begin(), rest.end());
  }
  return out;
}

Result<EvalResult> loss_of(const Model& model, Parallel& parallel,
                           std::span<const TokenId> held_out) {
  return evaluate(model, parallel, held_out, kTextContext);
}

}  // namespace skein
