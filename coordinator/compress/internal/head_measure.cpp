#include "coordinator/compress/internal/head_measure.h"

#include <algorithm>
#include <cmath>

#include "common/model/weights.h"
#include "kernels/ops/log.h"

namespace skein {
namespace {

using Index = Eigen::Index;

// Hears what the head multiplies.
class HeadInputs final : public InputObserver {
 public:
  void saw(std::string_view tensor, std::span<const float> inputs, std::uint32_t) override {
    if (tensor == "head.weight") rows.insert(rows.end(), inputs.begin(), inputs.end());
  }
  std::vector<float> rows;
};

// body(fed, logits of each) for some tokens of each window after another, from the initial state,
// id 0 first.
template <class Body>
Result<void> for_parts(const Model& model, const CalibrationText& text, Body body) {
  const std::size_t context = std::min<std::size_t>(text.context, text.ids.size());
  for (std::size_t at = 0; at + context <= text.ids.size(); at += context) {
    const auto window = std::span(text.ids).subspan(at, context);
    RwkvState state = model.initial_state();
    std::vector<TokenId> fed(1, kEndOfText);
    fed.insert(fed.end(), window.begin(), window.end() - 1);
    for (std::size_t first = 0; first < context; first += kMostRows) {
      const std::size_t count = std::min<std::size_t>(kMostRows, context - first);
      TRY_VOID(body(std::span(fed).subspan(first, count), window.subspan(first, count), state));
    }
  }
  return {};
}

TokenId largest(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

double divergence(std::span<const float> from, std::span<const float> to) {
  const double all_from = log_sum_exp(from);
  const double all_to = log_sum_exp(to);
  double sum = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const double p = double{from[i]} - all_from;
    sum += double_exp(p) * (p - (double{to[i]} - all_to));
  }
  return sum;
}

}  // namespace

RowMatrix head_rows(const Model& model) { return floats_of(model.weights().head.view()); }

Result<void> HeadRun::over(const Model& model, Parallel& parallel, const CalibrationText& text) {
  Runner runner(model, parallel);
  HeadInputs heard;
  runner.observe(&heard);
  const std::size_t vocab = model.config().vocab;
  std::vector<float> logits(kMostRows * vocab);
  masses = RowMatrix::Zero(of_.empty() ? 0 : static_cast<Index>(text.ids.size()), clusters_);
  Index done = 0;
  TRY_VOID(for_parts(model, text,
                     [&](std::span<const TokenId> fed, std::span<const TokenId>,
                         RwkvState& state) -> Result<void> {
                       const auto some = std::span(logits).first(fed.size() * vocab);
                       const Feed feed = {fed, &state, some};
                       TRY_VOID(runner.feed(std::span(&feed, 1)));
                       if (!of_.empty()) add_masses(done, some, vocab, parallel);
                       done += static_cast<Index>(fed.size());
                       return {};
                     }));
  inputs = Eigen::Map<const RowMatrix>(heard.rows.data(), done, model.config().width);
  if (!of_.empty()) masses.conservativeResize(done, clusters_);
  return {};
}

void HeadRun::add_masses(Index first, std::span<const float> logits, std::size_t vocab,
                         Parallel& parallel) {
  parallel.for_each(logits.size() / vocab, [&](std::size_t i) {
    const std::span<const float> row = logits.subspan(i * vocab, vocab);
    const double all = log_sum_exp(row);
    std::vector<double> sums(clusters_);
    for (std::size_t v = 0; v < vocab; ++v) sums[of_[v]] += double_exp(double{row[v]} - all);
    for (std::size_t j = 0; j < sums.size(); ++j) {
      masses(first + static_cast<Index>(i), static_cast<Index>(j)) = static_cast<float>(sums[j]);
    }
  });
}

// One token at a time, as a device has it: only then is less of the head read.
Result<HeadReport> measure_head(const Model& dense, const Model& model, Parallel& parallel,
                                const CalibrationText& text, HeadPlan::Method method) {
  HeadReport report{.method = method};
  Runner runner(dense, parallel);
  Runner greedy(model, parallel);
  Runner top(model, parallel);
  const std::uint32_t vocab = dense.config().vocab;
  const LayerIndex last(dense.config().layers);
  std::vector<float> all(vocab);
  std::vector<float> some(vocab);
  Activation activation;
  const bool screens = method == HeadPlan::Method::kScreen;
  TRY_VOID(for_parts(dense, text,
                     [&](std::span<const TokenId> fed, std::span<const TokenId> next,
                         RwkvState& state) -> Result<void> {
                       TRY_VOID(runner.embed(fed, activation));
                       TRY_VOID(runner.layers(LayerIndex(0), last, activation, state));
                       for (std::uint32_t i = 0; i < fed.size(); ++i) {
                         TRY_VOID(runner.head(activation, i, 1, all));
                         if (screens)
                           TRY_VOID(top.head(activation, i, 1, some, std::min(40U, vocab)));
                         TRY_VOID(greedy.head(activation, i, 1, some, screens ? 1 : 0));
                         report.agreement += largest(all) == largest(some) ? 1 : 0;
                         report.accuracy_before += largest(all) == next[i] ? 1 : 0;
                         report.accuracy += largest(some) == next[i] ? 1 : 0;
                         if (!screens) report.divergence += divergence(all, some);
                         ++report.tokens;
                       }
                       return {};
                     }));
  const double tokens = std::max(report.tokens, 1U);
  for (double* mean :
       {&report.agreement, &report.accuracy_before, &report.accuracy, &report.divergence}) {
    *mean /= tokens;
  }
  report.dense_bytes = static_cast<double>(runner.counters().head_bytes_total) / tokens;
  report.bytes_greedy = static_cast<double>(greedy.counters().head_bytes_read) / tokens;
  report.bytes_top40 = static_cast<double>(top.counters().head_bytes_read) / tokens;
  return report;
}

}  // namespace skein
