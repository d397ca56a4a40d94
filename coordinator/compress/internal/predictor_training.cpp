#include "coordinator/compress/internal/predictor_training.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "coordinator/compress/internal/mlp_training.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/format.h"
#include "kernels/ops/log.h"

namespace skein {
namespace {

constexpr float kNormEpsilon = 1e-5F;
constexpr double kRidge = 1e-3;  // of the mean of the features' mean squares
constexpr int kNewtonSteps = 12;
constexpr double kPrior = 4;  // tokens' worth of belief that scale is 1 and bias is the frequency's

RowMatrix normed(const RowMatrix& x) {
  RowMatrix out = x;
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    auto row = out.row(i).array();
    row -= row.mean();
    row /= std::sqrt(row.square().mean() + kNormEpsilon);
  }
  return out;
}

struct GuessParts {
  Eigen::VectorXf input, shift, bias;
  RowMatrix down, up;
  RowMatrix apply(const RowMatrix& x, const RowMatrix& shifts) const {
    RowMatrix out = x * input.asDiagonal();
    out += shifts * shift.asDiagonal();
    out += (x * down.transpose()) * up.transpose();
    out.rowwise() += bias.transpose();
    return out;
  }
};

// Each channel by itself: least squares of the key's input on (x, shift, 1).
void fit_channels(const RowMatrix& x, const LayerActivity& activity, GuessParts& guess) {
  const Eigen::Index width = x.cols();
  guess.input.resize(width);
  guess.shift.resize(width);
  guess.bias.resize(width);
  const auto count = static_cast<double>(x.rows());
  for (Eigen::Index i = 0; i < width; ++i) {
    Eigen::Matrix<double, Eigen::Dynamic, 3> a(x.rows(), 3);
    a.col(0) = x.col(i).cast<double>();
    a.col(1) = activity.shift.col(i).cast<double>();
    a.col(2).setOnes();
    Eigen::Matrix3d gram = a.transpose() * a;
    gram.diagonal().array() += 1e-6 * count;
    const Eigen::Vector3d right = a.transpose() * activity.input.col(i).cast<double>();
    const Eigen::Vector3f solved = gram.ldlt().solve(right).cast<float>();
    guess.input[i] = solved[0];
    guess.shift[i] = solved[1];
    guess.bias[i] = solved[2];
  }
}

// A reduced-rank regression (Izenman 1975) of what the channels leave on x.
GuessParts fit_guess(const RowMatrix& x, const LayerActivity& activity, std::uint32_t rank) {
  GuessParts guess;
  fit_channels(x, activity, guess);
  const Eigen::Index width = x.cols();
  const Eigen::Index kept = std::min<Eigen::Index>(rank, width);
  guess.down = RowMatrix::Zero(kept, width);
  guess.up = RowMatrix::Zero(width, kept);
  const RowMatrix rest = activity.input - guess.apply(x, activity.shift);
  Eigen::MatrixXd gram = (x.transpose() * x).cast<double>();
  gram.diagonal().array() += kRidge * gram.trace() / static_cast<double>(width);
  const Eigen::MatrixXd cross = (x.transpose() * rest).cast<double>();
  const Eigen::MatrixXd full = gram.ldlt().solve(cross);  // (x, outputs)
  const Eigen::MatrixXd explained = full.transpose() * gram * full;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(explained);
  const Eigen::MatrixXd top = solver.eigenvectors().rightCols(kept);
  guess.up = top.cast<float>();
  guess.down = (full * top).transpose().cast<float>();
  return guess;
}

struct Sketch {
  RowMatrix down, up;
};

// The rank-r matrix nearest to the key for what it multiplies (AWSVD, whitened).
Sketch fit_sketch(const RowMatrix& guessed, const RowMatrix& key, std::uint32_t rank) {
  const Eigen::Index width = key.cols();
  const Eigen::Index kept = std::min<Eigen::Index>(rank, width);
  Eigen::MatrixXd gram = (guessed.transpose() * guessed).cast<double>();
  gram.diagonal().array() += kRidge * gram.trace() / static_cast<double>(width);
  const Eigen::LLT<Eigen::MatrixXd> root(gram);
  const Eigen::MatrixXd lower = root.matrixL();
  const Eigen::MatrixXd squared = (key.transpose() * key).cast<double>();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(lower.transpose() * squared * lower);
  const Eigen::MatrixXd top = solver.eigenvectors().rightCols(kept);
  const Eigen::MatrixXd up = lower * top;
  const Eigen::MatrixXd down = root.matrixU().solve(top);
  return {down.transpose().cast<float>(), key * up.cast<float>()};
}

struct OddsOf {
  std::vector<float> scale, bias;
  void raise(const RowMatrix& raw, RowMatrix& scores) const {
    for (Eigen::Index i = 0; i < raw.cols(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto score = raw.col(i).array() * scale[at] + bias[at];
      scores.col(i) = scores.col(i).array().max(score);
    }
  }
};

// Newton's steps of a logistic regression on one standardised score.
void fit_odds_of(std::span<const float> raw, const std::vector<bool>& fires, float& scale,
                 float& bias) {
  double mean = 0, square = 0;
  for (const float value : raw) {
    mean += value;
    square += static_cast<double>(value) * value;
  }
  const auto all = static_cast<double>(raw.size());
  mean /= all;
  const double spread = std::sqrt(std::max(square / all - mean * mean, 1e-12));
  const auto count = static_cast<double>(std::ranges::count(fires, true));
  const double share = (count + 0.5) / (all + 1);
  const double start = double_log(share / (1 - share));
  double a = 1, b = start;
  for (int step = 0; step < kNewtonSteps; ++step) {
    double ga = -kPrior * (a - 1), gb = -kPrior * (b - start);
    double haa = kPrior, hab = 0, hbb = kPrior;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const double x = (raw[i] - mean) / spread;
      const double p = sigmoid_of(static_cast<float>(a * x + b));
      const double miss = (fires[i] ? 1.0 : 0.0) - p;
      const double weight = p * (1 - p);
      ga += miss * x;
      gb += miss;
      haa += weight * x * x;
      hab += weight * x;
      hbb += weight;
    }
    const double det = haa * hbb - hab * hab;
    a += std::clamp((hbb * ga - hab * gb) / det, -2.0, 2.0);
    b += std::clamp((haa * gb - hab * ga) / det, -2.0, 2.0);
  }
  scale = static_cast<float>(a / spread);
  bias = static_cast<float>(b - a * mean / spread);
}

OddsOf fit_odds(const RowMatrix& raw, const RowMatrix& fired, std::span<const std::uint32_t> rows,
                Parallel& parallel) {
  const auto neurons = static_cast<std::size_t>(raw.cols());
  OddsOf odds{std::vector<float>(neurons), std::vector<float>(neurons)};
  parallel.for_each(neurons, [&](std::size_t i) {
    const auto neuron = static_cast<Eigen::Index>(i);
    std::vector<float> scores;
    std::vector<bool> fires;
    for (const std::uint32_t row : rows) {
      scores.push_back(raw(row, neuron));
      fires.push_back(fired(row, neuron) != 0);
    }
    fit_odds_of(scores, fires, odds.scale[i], odds.bias[i]);
  });
  return odds;
}

RowMatrix recency_of(const LayerActivity& activity) {
  const RowMatrix& fired = activity.fired;
  const Eigen::Index windows = activity.windows;
  RowMatrix out = RowMatrix::Zero(fired.rows(), fired.cols());
  constexpr float kFading = RecentNeurons::kFading;
  for (Eigen::Index i = windows; i < fired.rows(); ++i) {
    const auto last = (fired.row(i - windows).array() != 0).cast<float>();
    out.row(i) = (out.row(i - windows).array() * kFading + last * (1 - kFading)).matrix();
  }
  return out;
}

// Trains the kinds that were asked for, and gathers parts and scores.
class Trainer {
 public:
  Trainer(const LayerActivity& activity, const RowMatrix& key, const TrainingOptions& options,
          Parallel& parallel)
      : activity_(activity), key_(key), options_(options), parallel_(parallel) {
    // A quarter of the windows is kept from learning, so that cuts are honest.
    const std::uint32_t windows = activity.windows;
    for (std::uint32_t row = 0; row < activity.tokens(); ++row) {
      const bool checks = row % windows * 4 >= windows * 3;
      all_.push_back(row);
      (checks && windows > 1 ? checked_ : learned_).push_back(row);
    }
    if (checked_.empty()) checked_ = learned_;
    x_ = normed(activity.residual);
    scores_ = RowMatrix::Constant(activity.fired.rows(), activity.fired.cols(), -1e30F);
  }

  std::vector<TrainedPart> run() {
    for (const ScoreKind kind : options_.kinds) add(kind);
    add_cuts();
    return std::move(parts_);
  }

 private:
  void add(ScoreKind kind) {
    switch (kind) {
      case ScoreKind::kPrevious:
        return calibrate(kind, recency_of(activity_), all_);
      case ScoreKind::kSign:
        return add_sign();
      case ScoreKind::kSketch: {
        const Sketch sketch = fit_sketch(guessed(), key_, options_.sketch_rank);
        part("sketch.down", sketch.down);
        part("sketch.up", sketch.up);
        return calibrate(kind, (guessed() * sketch.down.transpose()) * sketch.up.transpose(), all_);
      }
      case ScoreKind::kKey:
        return calibrate(kind, guessed() * key_.transpose(), all_);
      case ScoreKind::kMlp:
        return add_mlp();
    }
  }
  const RowMatrix& guessed();
  void add_sign();
  void add_mlp();
  void add_cuts();
  void calibrate(ScoreKind kind, const RowMatrix& raw, std::span<const std::uint32_t> rows);
  void part(std::string_view name, const RowMatrix& values) {
    parts_.push_back({.name = predictor_part(activity_.layer, name),
                      .rows = static_cast<std::uint32_t>(values.rows()),
                      .values = {values.data(), values.data() + values.size()}});
  }

  const LayerActivity& activity_;
  const RowMatrix& key_;
  const TrainingOptions& options_;
  Parallel& parallel_;
  std::vector<std::uint32_t> all_, learned_, checked_;  // rows
  RowMatrix x_;                                         // normed residual
  RowMatrix guessed_;
  RowMatrix scores_;
  std::vector<TrainedPart> parts_;
};

const RowMatrix& Trainer::guessed() {
  if (guessed_.size() != 0) return guessed_;
  const GuessParts guess = fit_guess(x_, activity_, options_.guess_rank);
  guessed_ = guess.apply(x_, activity_.shift);
  part("guess.input", guess.input.transpose());
  part("guess.shift", guess.shift.transpose());
  part("guess.bias", guess.bias.transpose());
  part("guess.down", guess.down);
  part("guess.up", guess.up);
  return guessed_;
}

void Trainer::calibrate(ScoreKind kind, const RowMatrix& raw, std::span<const std::uint32_t> rows) {
  const OddsOf odds = fit_odds(raw, activity_.fired, rows, parallel_);
  odds.raise(raw, scores_);
  const std::string name(name_of(kind));
  using Row = Eigen::Map<const RowMatrix>;
  part(name + ".scale", Row(odds.scale.data(), 1, raw.cols()));
  part(name + ".bias", Row(odds.bias.data(), 1, raw.cols()));
}

void Trainer::add_sign() {
  const RowMatrix signs = (key_.array() > 0)
                              .select(RowMatrix::Ones(key_.rows(), key_.cols()),
                                      -RowMatrix::Ones(key_.rows(), key_.cols()));
  const RowMatrix raw = guessed() * signs.transpose();
  RowMatrix bytes = RowMatrix::Zero(key_.rows(), (key_.cols() + 7) / 8);
  for (Eigen::Index i = 0; i < key_.rows(); ++i) {
    for (Eigen::Index j = 0; j < key_.cols(); ++j) {
      if (key_(i, j) > 0) bytes(i, j / 8) += static_cast<float>(1U << (j % 8));
    }
  }
  part("sign.bytes", bytes);
  calibrate(ScoreKind::kSign, raw, all_);
}

void Trainer::add_mlp() {
  RowMatrix features(x_.rows(), x_.cols() * 2);
  features << x_, activity_.shift;
  const Eigen::RowVectorXf spread =
      (features.array().square().colwise().mean().sqrt() + 1e-3F).matrix();
  const RowMatrix scaled = features * spread.cwiseInverse().asDiagonal();
  Mlp mlp =
      train_mlp(scaled, activity_.fired, learned_,
                {options_.hidden, options_.epochs, options_.seed + activity_.layer}, parallel_);
  mlp.down = mlp.down * spread.cwiseInverse().asDiagonal();
  part("mlp.down", mlp.down);
  part("mlp.up", mlp.up);
  calibrate(ScoreKind::kMlp, mlp.raw(features), checked_);
}

// Scores from which on a share of firings lies: row 0 of all neurons, row 1 of the colder half.
void Trainer::add_cuts() {
  const RowMatrix& fired = activity_.fired;
  const std::vector<bool> cold = colder_half(fired);
  RowMatrix cuts(2, kCuts);
  for (Eigen::Index group = 0; group < 2; ++group) {
    std::vector<float> hits;
    for (const std::uint32_t row : checked_) {
      for (Eigen::Index i = 0; i < fired.cols(); ++i) {
        const bool counts = group == 0 || cold[static_cast<std::size_t>(i)];
        if (counts && fired(row, i) != 0) hits.push_back(scores_(row, i));
      }
    }
    std::ranges::sort(hits, std::ranges::greater());
    for (std::size_t i = 0; i < kCuts; ++i) {
      const auto at = static_cast<std::size_t>(kCutRecalls[i] * static_cast<double>(hits.size()));
      cuts(group, static_cast<Eigen::Index>(i)) =
          hits.empty() ? 0.0F : hits[std::min(at, hits.size() - 1)];
    }
  }
  part("cuts", cuts);
}

}  // namespace

std::vector<bool> colder_half(const RowMatrix& fired) {
  const auto neurons = static_cast<std::size_t>(fired.cols());
  std::vector<Eigen::Index> counts;
  for (Eigen::Index i = 0; i < fired.cols(); ++i) {
    counts.push_back((fired.col(i).array() != 0).count());
  }
  std::vector<std::size_t> order(neurons);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](auto a, auto b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
  });
  std::vector<bool> cold(neurons, false);
  for (std::size_t i = neurons / 2; i < neurons; ++i) cold[order[i]] = true;
  return cold;
}

std::vector<TrainedPart> train_predictor(const LayerActivity& activity, const RowMatrix& key,
                                         const TrainingOptions& options, Parallel& parallel) {
  return Trainer(activity, key, options, parallel).run();
}

std::vector<CheckpointTensor> tensors_of(std::span<const TrainedPart> parts,
                                         std::vector<Buffer>& storage) {
  std::vector<CheckpointTensor> tensors;
  storage.reserve(storage.size() + parts.size());  // views below must not move
  for (const TrainedPart& part : parts) {
    std::vector<std::uint16_t> words;
    for (const float value : part.values) words.push_back(narrow_bf16(value));
    Buffer& bytes = storage.emplace_back(words.size() * sizeof(std::uint16_t));
    std::memcpy(bytes.data(), words.data(), bytes.size());
    tensors.push_back({.name = part.name,
                       .shape = {part.rows, static_cast<std::uint32_t>(words.size()) / part.rows},
                       .format = Format::kBf16,
                       .data = bytes});
  }
  return tensors;
}

void QualityCount::add(std::span<const float> scores, float cut, std::span<const float> fired,
                       std::span<const float> lengths, const std::vector<bool>& counted) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!counted[i]) continue;
    const bool named = scores[i] >= cut;
    const bool fires = fired[i] != 0;
    const double size = static_cast<double>(fired[i]) * lengths[i];
    named_ += named ? 1 : 0;
    fired_ += fires ? 1 : 0;
    hit_ += named && fires ? 1 : 0;
    energy_ += size * size;
    energy_hit_ += named ? size * size : 0;
  }
}

}  // namespace skein
