#include "coordinator/compress/internal/calibration_pass.h"

#include <algorithm>

#include "common/model/sampler.h"

namespace skein {
namespace {

constexpr std::uint32_t kSampledAtOnce = 32;  // windows

// What a window reads: id 0, then all of its ids but the last.
std::vector<TokenId> read_ids(const CalibrationText& text) {
  std::vector<TokenId> read(text.ids.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    read[i] = i % text.context == 0 ? kEndOfText : text.ids[i - 1];
  }
  return read;
}

void take_rows(const Activation& from, std::size_t first, std::size_t count, std::size_t width,
               Activation& to) {
  const auto rows = [&](const std::vector<float>& all) {
    return std::span(all).subspan(first * width, count * width);
  };
  to.x.assign(rows(from.x).begin(), rows(from.x).end());
  to.v_first.assign(rows(from.v_first).begin(), rows(from.v_first).end());
}

void put_rows(const Activation& from, std::size_t first, std::size_t width, Activation& to) {
  std::ranges::copy(from.x, &to.x[first * width]);
  std::ranges::copy(from.v_first, &to.v_first[first * width]);
}

// Windows [first, first + count) at once.
Result<void> sample_some(Runner& runner, const Model& model, std::uint64_t seed,
                         std::uint32_t first, std::uint32_t count, CalibrationText& text) {
  const std::size_t vocab = model.config().vocab;
  std::vector<RwkvState> states(count, model.initial_state());
  std::vector<Sampler> samplers;
  for (std::uint32_t i = 0; i < count; ++i) {
    samplers.emplace_back(SamplerOptions{.seed = seed + first + i});
  }
  std::vector<TokenId> last(count, kEndOfText);
  std::vector<float> logits(count * vocab);
  std::vector<Feed> feeds(count);
  for (std::uint32_t at = 0; at < text.context; ++at) {
    for (std::uint32_t i = 0; i < count; ++i) {
      feeds[i] = {std::span(&last[i], 1), &states[i], std::span(logits).subspan(i * vocab, vocab)};
    }
    TRY_VOID(runner.feed(feeds));
    for (std::uint32_t i = 0; i < count; ++i) {
      last[i] = samplers[i].pick(feeds[i].logits);
      text.ids[std::size_t{first + i} * text.context + at] = last[i];
    }
  }
  return {};
}

}  // namespace

Result<CalibrationText> sample_text(const Model& model, Parallel& parallel, std::uint32_t windows,
                                    std::uint32_t context, std::uint64_t seed) {
  CalibrationText text{.context = context, .origin = "sampled from the model"};
  text.ids.resize(std::size_t{windows} * context);
  Runner runner(model, parallel);
  for (std::uint32_t first = 0; first < windows; first += kSampledAtOnce) {
    const std::uint32_t count = std::min(kSampledAtOnce, windows - first);
    TRY_VOID(sample_some(runner, model, seed, first, count, text));
  }
  return text;
}

CalibrationPass::CalibrationPass(const Model& model, Parallel& parallel,
                                 const CalibrationText& text)
    : model_(model),
      parallel_(parallel),
      text_(text),
      runner_(model, parallel),
      statistics_(parallel) {
  CHECK(!text.ids.empty() && text.context > 0);
}

Result<void> CalibrationPass::begin() {
  layer_ = 0;
  statistics_.clear();
  runner_.observe(nullptr);
  return runner_.embed(read_ids(text_), all_);
}

Result<void> CalibrationPass::run_layer() {
  CHECK(layer_ < model_.config().layers);
  statistics_.clear();
  runner_.observe(&statistics_);
  run_windows(runner_, model_.initial_state(), text_.context, LayerIndex(layer_),
              LayerIndex(layer_ + 1), all_);
  runner_.observe(nullptr);
  ++layer_;
  return statistics_.check_finite();
}

Result<void> CalibrationPass::run_head() {
  CHECK(layer_ == model_.config().layers);
  statistics_.clear();
  runner_.observe(&statistics_);
  std::vector<float> logits(std::size_t{kMostRows} * model_.config().vocab);
  for (std::size_t first = 0; first < text_.ids.size(); first += kMostRows) {
    const auto count =
        static_cast<std::uint32_t>(std::min<std::size_t>(kMostRows, text_.ids.size() - first));
    runner_.head(all_, static_cast<std::uint32_t>(first), count,
                 std::span(logits).first(count * std::size_t{model_.config().vocab}));
  }
  runner_.observe(nullptr);
  return statistics_.check_finite();
}

Activation CalibrationPass::first(std::size_t tokens) const {
  Activation some;
  take_rows(all_, 0, std::min(tokens, text_.ids.size()), width(), some);
  return some;
}

void run_windows(Runner& runner, const RwkvState& start, std::uint32_t context, LayerIndex first,
                 LayerIndex last, Activation& activation) {
  const std::size_t width = start.config().width;
  const std::size_t tokens = activation.x.size() / width;
  Activation some;
  RwkvState state = start;
  for (std::size_t at = 0; at < tokens;) {
    const std::size_t inside = at % context;
    if (inside == 0) state = start;
    const std::size_t count =
        std::min({std::size_t{kMostRows}, tokens - at, std::size_t{context} - inside});
    take_rows(activation, at, count, width, some);
    runner.layers(first, last, some, state);
    put_rows(some, at, width, activation);
    at += count;
  }
}

}  // namespace skein
