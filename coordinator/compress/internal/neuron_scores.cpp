#include "coordinator/compress/internal/neuron_scores.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "kernels/ops/format.h"

namespace skein {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ValueRows = Eigen::Map<const RowMatrix>;

constexpr double kLeastKept = 0.01;     // unless the plan says it
constexpr double kScoreDamping = 0.01;  // of the mean of A's diagonal
constexpr double kSolveDamping = 1e-3;  // of the mean of G's diagonal
constexpr int kMostDampings = 4;        // tried, each ten times the one before
constexpr Eigen::Index kBlock = 128;    // columns of A that one task makes

ValueRows rows_of(const Neurons& neurons, std::span<const float> values) {
  return {values.data(), static_cast<Eigen::Index>(values.size() / neurons.width),
          static_cast<Eigen::Index>(neurons.width)};
}

std::vector<double> lorap_scores(const Neurons& neurons) {
  std::vector<double> rms(neurons.width);
  for (std::uint32_t j = 0; j < neurons.width; ++j) rms[j] = neurons.key_inputs.rms(j);
  std::vector<double> scores(neurons.count);
  for (std::uint32_t i = 0; i < neurons.count; ++i) {
    double key = 0;
    double value = 0;
    for (std::uint32_t j = 0; j < neurons.width; ++j) {
      const std::size_t at = std::size_t{i} * neurons.width + j;
      const double weighed = neurons.key[at] * rms[j];
      key += weighed * weighed;
      value += static_cast<double>(neurons.value[at]) * neurons.value[at];
    }
    scores[i] = std::sqrt(key) + std::sqrt(value) * neurons.value_inputs.rms(i);
  }
  return scores;
}

// The lower triangle of A.
Eigen::MatrixXf newton_matrix(const Neurons& neurons, Parallel& parallel) {
  const ValueRows v = rows_of(neurons, neurons.value);
  const Eigen::MatrixXf& gram = neurons.value_inputs.gram;
  const float share = 1.0F / static_cast<float>(neurons.value_inputs.rows);
  const Eigen::Index count = v.rows();
  Eigen::MatrixXf a = Eigen::MatrixXf::Zero(count, count);
  parallel.for_each(static_cast<std::size_t>((count + kBlock - 1) / kBlock), [&](std::size_t task) {
    const Eigen::Index first = static_cast<Eigen::Index>(task) * kBlock;
    const Eigen::Index columns = std::min(kBlock, count - first);
    const Eigen::Index rows = count - first;
    a.block(first, first, rows, columns).noalias() =
        v.bottomRows(rows) * v.middleRows(first, columns).transpose();
    a.block(first, first, rows, columns).array() *=
        gram.block(first, first, rows, columns).array() * share;
  });
  return a;
}

tl::unexpected<Error> undecomposable() {
  return fail(Errc::kCorrupt, "the neurons' products cannot be decomposed", "",
              "give more calibration text, or set prune.score=lorap and prune.compensate=off");
}

Result<std::vector<double>> newton_scores(const Neurons& neurons, Parallel& parallel) {
  const Eigen::MatrixXf a = newton_matrix(neurons, parallel);
  const double mean = a.diagonal().cast<double>().mean();
  double added = kScoreDamping * (mean > 0 ? mean : 1);
  for (int attempt = 0; attempt < kMostDampings; ++attempt, added *= 10) {
    Eigen::MatrixXf damped = a;
    damped.diagonal().array() += static_cast<float>(added);
    const Eigen::LLT<Eigen::Ref<Eigen::MatrixXf>> llt(damped);
    if (llt.info() != Eigen::Success) continue;
    Eigen::VectorXf u = Eigen::VectorXf::Ones(a.rows());
    llt.solveInPlace(u);
    const double mean_u = u.cast<double>().mean();
    if (!(mean_u > 0)) continue;
    std::vector<double> scores(neurons.count);
    for (std::uint32_t i = 0; i < neurons.count; ++i) scores[i] = -u[i] / mean_u;
    return scores;
  }
  return undecomposable();
}

// In the order in which a layer's neurons would go; without those that must stay.
std::vector<std::uint32_t> candidates_of(const NeuronScores& layer, const PrunePlan& plan) {
  const std::size_t count = layer.score.size();
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  const auto guarded = static_cast<std::size_t>(plan.guard * static_cast<double>(count));
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(-layer.peak[a], a) < std::pair(-layer.peak[b], b);
  });
  std::vector<bool> stays(count, false);
  for (std::size_t i = 0; i < guarded; ++i) stays[order[i]] = true;
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return std::tuple(layer.score[a], layer.peak[a], a) <
           std::tuple(layer.score[b], layer.peak[b], b);
  });
  const double share = plan.least.value_or(plan.score == PrunePlan::Score::kLorap ? kLeastKept : 0);
  const auto least = static_cast<std::size_t>(share * static_cast<double>(count));
  for (std::size_t i = 0; i < least; ++i) stays[order[i]] = true;
  std::erase_if(order, [&](std::uint32_t neuron) { return stays[neuron]; });
  return order;
}

using Candidates = std::vector<std::vector<std::uint32_t>>;

// How many of each layer would go if any number could.
std::vector<double> wanted_of(std::span<const NeuronScores> layers, const Candidates& candidates,
                              const PrunePlan& plan) {
  std::vector<double> wanted(layers.size(), 0);
  double all = 0;
  for (const NeuronScores& layer : layers) all += static_cast<double>(layer.score.size());
  if (plan.score == PrunePlan::Score::kLorap) {
    for (std::size_t l = 0; l < layers.size(); ++l) {
      wanted[l] = plan.ratio * static_cast<double>(layers[l].score.size());
    }
    return wanted;
  }
  std::vector<std::tuple<double, std::size_t, std::size_t>> of_all;  // score, layer, place
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (std::size_t i = 0; i < candidates[l].size(); ++i) {
      of_all.emplace_back(layers[l].score[candidates[l][i]], l, i);
    }
  }
  std::ranges::sort(of_all);
  const auto most =
      std::min<std::size_t>(of_all.size(), static_cast<std::size_t>(plan.ratio * all));
  for (std::size_t i = 0; i < most; ++i) wanted[std::get<1>(of_all[i])] += 1;
  return wanted;
}

}  // namespace

Result<NeuronScores> score_neurons(const Neurons& neurons, PrunePlan::Score by,
                                   Parallel& parallel) {
  NeuronScores out;
  for (std::uint32_t i = 0; i < neurons.count; ++i) {
    const double norm = rows_of(neurons, neurons.value).row(i).norm();
    out.peak.push_back(norm * static_cast<double>(neurons.value_inputs.peak[i]));
  }
  if (by == PrunePlan::Score::kLorap) {
    out.score = lorap_scores(neurons);
  } else if (by == PrunePlan::Score::kNewton) {
    TRY(out.score, newton_scores(neurons, parallel));
  } else {
    const auto rows = static_cast<double>(neurons.value_inputs.rows);
    for (std::uint32_t i = 0; i < neurons.count; ++i) {
      out.score.push_back(neurons.value_inputs.fired[i] / rows);
    }
  }
  return out;
}

std::vector<std::vector<std::uint32_t>> choose_neurons(std::span<const NeuronScores> layers,
                                                       const PrunePlan& plan) {
  Candidates candidates;
  for (const NeuronScores& layer : layers) candidates.push_back(candidates_of(layer, plan));
  const std::vector<double> wanted = wanted_of(layers, candidates, plan);
  std::vector<std::vector<std::uint32_t>> kept(layers.size());
  double left_over = 0;  // wanted of the layers before and not done
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const std::size_t count = layers[l].score.size();
    const double goal = static_cast<double>(count) - wanted[l] - left_over;
    const auto least = std::max<std::size_t>(count - candidates[l].size(), 1);
    const auto nearest = static_cast<std::size_t>(std::max(std::round(goal / kGroup), 1.0));
    std::size_t stay = std::max(nearest, (least + kGroup - 1) / kGroup) * kGroup;
    if (stay > count) stay = count;
    left_over += wanted[l] - static_cast<double>(count - stay);
    std::vector<bool> goes(count, false);
    for (std::size_t i = 0; i < count - stay; ++i) goes[candidates[l][i]] = true;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!goes[i]) kept[l].push_back(i);
    }
  }
  return kept;
}

Result<std::vector<float>> compensate(const Neurons& neurons, std::span<const std::uint32_t> kept) {
  const Eigen::MatrixXf& gram = neurons.value_inputs.gram;
  const ValueRows v = rows_of(neurons, neurons.value);
  std::vector<bool> stays(neurons.count, false);
  for (const std::uint32_t i : kept) stays[i] = true;
  std::vector<std::uint32_t> gone;
  for (std::uint32_t i = 0; i < neurons.count; ++i) {
    if (!stays[i]) gone.push_back(i);
  }
  const auto at = [&](std::uint32_t a, std::uint32_t b) {
    return gram(std::max(a, b), std::min(a, b));
  };
  const auto size = static_cast<Eigen::Index>(kept.size());
  RowMatrix out(size, v.cols());
  for (Eigen::Index i = 0; i < size; ++i) out.row(i) = v.row(kept[static_cast<std::size_t>(i)]);
  Eigen::MatrixXf across(size, static_cast<Eigen::Index>(gone.size()));
  RowMatrix lost(static_cast<Eigen::Index>(gone.size()), v.cols());
  for (std::size_t p = 0; p < gone.size(); ++p) {
    const auto column = static_cast<Eigen::Index>(p);
    lost.row(column) = v.row(gone[p]);
    for (std::size_t s = 0; s < kept.size(); ++s) {
      across(static_cast<Eigen::Index>(s), column) = at(kept[s], gone[p]);
    }
  }
  Eigen::MatrixXf added = across * lost;
  const double mean = gram.diagonal().cast<double>().mean();
  double damping = kSolveDamping * (mean > 0 ? mean : 1);
  for (int attempt = 0; attempt < kMostDampings; ++attempt, damping *= 10) {
    Eigen::MatrixXf among(size, size);
    for (std::size_t c = 0; c < kept.size(); ++c) {
      for (std::size_t r = c; r < kept.size(); ++r) {
        among(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(c)) = at(kept[r], kept[c]);
      }
    }
    among.diagonal().array() += static_cast<float>(damping);
    const Eigen::LLT<Eigen::Ref<Eigen::MatrixXf>> llt(among);
    if (llt.info() != Eigen::Success) continue;
    llt.solveInPlace(added);
    out += added;
    return std::vector<float>(out.data(), out.data() + out.size());
  }
  return undecomposable();
}

double output_error(const Neurons& neurons, std::span<const std::uint32_t> kept,
                    std::span<const float> value) {
  const ValueRows v = rows_of(neurons, neurons.value);
  const ValueRows now = rows_of(neurons, value);
  Eigen::MatrixXf missed = v;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    missed.row(kept[i]) -= now.row(static_cast<Eigen::Index>(i));
  }
  const auto power = [&](const Eigen::MatrixXf& of) {
    const Eigen::MatrixXf through = neurons.value_inputs.gram.selfadjointView<Eigen::Lower>() * of;
    return (through.array() * of.array()).cast<double>().sum();
  };
  const double all = power(v);
  return all > 0 ? power(missed) / all : 0;
}

}  // namespace skein
