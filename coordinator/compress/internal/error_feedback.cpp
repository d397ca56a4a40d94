#include "coordinator/compress/internal/error_feedback.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace skein {
namespace {

using Grid = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::uint32_t kOutputsAtOnce = 64;  // of a task; whole groups
constexpr int kMostDampings = 4;              // tried, each ten times the one before

// The most energetic first; where groups are whole, group by group.
std::vector<std::uint32_t> order_of(const InputStatistics& statistics, bool neuron_major) {
  const std::uint32_t inputs = statistics.width();
  std::vector<float> energy(inputs);
  for (std::uint32_t i = 0; i < inputs; ++i) energy[i] = statistics.gram(i, i);
  std::vector<float> of_group(inputs, 0);
  for (std::uint32_t i = 0; i < inputs && !neuron_major; ++i) of_group[i / kGroup] += energy[i];
  std::vector<std::uint32_t> order(inputs);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t group_a = neuron_major ? 0 : a / kGroup;
    const std::uint32_t group_b = neuron_major ? 0 : b / kGroup;
    if (group_a != group_b) {
      return std::pair(-of_group[group_a], group_a) < std::pair(-of_group[group_b], group_b);
    }
    return std::pair(-energy[a], a) < std::pair(-energy[b], b);
  });
  return order;
}

}  // namespace

// Inputs [at, at + kGroup) in order, for some outputs.
struct ErrorFeedback::Turn {
  const StoredValues& matrix;
  const GroupRounding& rounding;
  std::uint32_t at;
  std::uint32_t first_output;
  const Grid& weights;  // (kGroup, outputs)
  Grid& targets;        // (kGroup, outputs)
  Grid& errors;         // (inputs so far, outputs)
  GroupCodes& codes;
};

Result<ErrorFeedback> ErrorFeedback::prepare(const InputStatistics& statistics, bool neuron_major,
                                             double damping) {
  const std::uint32_t inputs = statistics.width();
  CHECK(inputs % kGroup == 0 && statistics.rows > 0);
  ErrorFeedback out;
  out.order_ = order_of(statistics, neuron_major);
  const float share = 1.0F / static_cast<float>(statistics.rows);
  const float mean = statistics.gram.diagonal().mean() * share;
  auto added = static_cast<float>(damping) * (mean > 0 ? mean : 1.0F);
  for (int attempt = 0; attempt < kMostDampings; ++attempt, added *= 10) {
    // The last turn first: then L of L L^T, turned round, is U D^(1/2).
    Eigen::MatrixXf turned(inputs, inputs);
    for (std::uint32_t c = 0; c < inputs; ++c) {
      for (std::uint32_t r = c; r < inputs; ++r) {
        const auto [low, high] =
            std::minmax(out.order_[inputs - 1 - r], out.order_[inputs - 1 - c]);
        turned(r, c) = statistics.gram(high, low) * share + (r == c ? added : 0.0F);
      }
    }
    const Eigen::LLT<Eigen::Ref<Eigen::MatrixXf>> llt(turned);
    if (llt.info() != Eigen::Success) continue;
    out.coupling_.setZero(inputs, inputs);
    out.energy_.resize(inputs);
    for (std::uint32_t k = 0; k < inputs; ++k) {
      const auto column = turned.col(inputs - 1 - k);
      const float root = column[inputs - 1 - k];
      out.energy_[k] = root * root;
      out.coupling_.col(k).head(k + 1) = column.tail(k + 1).reverse() / root;
    }
    return out;
  }
  return fail(Errc::kCorrupt, "the inputs' products cannot be decomposed", "",
              "give more calibration text, or set quantize.method=nearest");
}

ErrorFeedback ErrorFeedback::unrelated(std::span<const float> energies) {
  CHECK(!energies.empty());
  ErrorFeedback out;
  out.order_.resize(energies.size());
  std::iota(out.order_.begin(), out.order_.end(), 0U);
  out.energy_ = Eigen::Map<const Eigen::VectorXf>(energies.data(),
                                                  static_cast<Eigen::Index>(energies.size()));
  return out;
}

std::vector<float> ErrorFeedback::energies() const {
  std::vector<float> out(order_.size());
  for (std::size_t k = 0; k < order_.size(); ++k) {
    out[order_[k]] = energy_[static_cast<Eigen::Index>(k)];
  }
  return out;
}

GroupCodes ErrorFeedback::round(const StoredValues& matrix, const GroupRounding& rounding,
                                Parallel& parallel) const {
  CHECK(matrix.inputs() == order_.size() && matrix.cols % kGroup == 0);
  GroupCodes codes;
  codes.codes.resize(matrix.values.size());
  codes.heads.resize(matrix.values.size() / kGroup);
  const std::uint32_t tasks = (matrix.outputs() + kOutputsAtOnce - 1) / kOutputsAtOnce;
  parallel.for_each(tasks, [&](std::size_t task) {
    const auto first = static_cast<std::uint32_t>(task) * kOutputsAtOnce;
    round_outputs(matrix, rounding, first, std::min(kOutputsAtOnce, matrix.outputs() - first),
                  codes);
  });
  return codes;
}

void ErrorFeedback::encode(const StoredValues& matrix, Format format, Parallel& parallel,
                           MutableByteView out) const {
  place(round(matrix, FittedRounding(format), parallel), matrix, format, out);
}

void place(const GroupCodes& codes, const StoredValues& matrix, Format format,
           MutableByteView out) {
  if (format != Format::kQ8) {
    place_packed(format, matrix.layout, matrix.rows, matrix.cols, codes.codes, codes.heads, out);
    return;
  }
  std::vector<std::int8_t> signed_codes(codes.codes.size());
  for (std::size_t i = 0; i < signed_codes.size(); ++i) {
    signed_codes[i] = static_cast<std::int8_t>(codes.codes[i] - 127);
  }
  place_q8(matrix.layout, matrix.rows, matrix.cols, signed_codes, codes.heads, out);
}

void ErrorFeedback::round_outputs(const StoredValues& matrix, const GroupRounding& rounding,
                                  std::uint32_t first, std::uint32_t count,
                                  GroupCodes& codes) const {
  Grid errors(matrix.inputs(), count);
  Grid weights(kGroup, count);
  Grid targets(kGroup, count);
  for (std::uint32_t at = 0; at < matrix.inputs(); at += kGroup) {
    for (std::uint32_t i = 0; i < kGroup; ++i) {
      const std::size_t input = order_[at + i];
      for (std::uint32_t o = 0; o < count; ++o) {
        const std::size_t output = first + o;
        weights(i, o) = matrix.values[matrix.neuron_major ? input * matrix.cols + output
                                                          : output * matrix.cols + input];
      }
    }
    targets = weights;
    if (at > 0 && related()) {
      targets.noalias() += coupling_.block(0, at, at, kGroup).transpose() * errors.topRows(at);
    }
    const Turn turn{matrix, rounding, at, first, weights, targets, errors, codes};
    matrix.neuron_major ? round_rows(turn) : round_groups(turn);
  }
}

// Each output's group at a time: rows run along inputs.
void ErrorFeedback::round_groups(const Turn& turn) const {
  const std::uint32_t group = order_[turn.at] / kGroup;
  const float most = energy_.segment(turn.at, kGroup).maxCoeff();
  std::array<float, kGroup> importance{};
  std::array<float, kGroup> in_place{};
  for (std::uint32_t i = 0; i < kGroup; ++i) {
    importance[order_[turn.at + i] % kGroup] = energy_[turn.at + i] / most;
  }
  for (Eigen::Index o = 0; o < turn.targets.cols(); ++o) {
    const std::size_t row = turn.first_output + static_cast<std::size_t>(o);
    const std::size_t start = row * turn.matrix.cols + std::size_t{group} * kGroup;
    for (std::uint32_t i = 0; i < kGroup; ++i) {
      in_place[order_[turn.at + i] % kGroup] = turn.targets(i, o);
    }
    const GroupGrid grid = turn.rounding.grid(row, group, in_place, importance);
    turn.codes.heads[start / kGroup] = grid.head;
    for (std::uint32_t i = 0; i < kGroup; ++i) {
      const std::uint32_t k = turn.at + i;
      float target = turn.targets(i, o);
      for (std::uint32_t j = 0; j < i && related(); ++j) {
        target += coupling_(turn.at + j, k) * turn.errors(turn.at + j, o);
      }
      const unsigned code =
          turn.rounding.code(row, group, grid, target, importance[order_[k] % kGroup]);
      turn.codes.codes[start + order_[k] % kGroup] = static_cast<std::uint8_t>(code);
      turn.errors(k, o) = turn.weights(i, o) - grid.weight_of(code);
    }
  }
}

// One neuron's groups at a time: rows run along outputs.
void ErrorFeedback::round_rows(const Turn& turn) const {
  constexpr std::array<float, kGroup> kAlike = [] {
    std::array<float, kGroup> ones{};
    ones.fill(1);
    return ones;
  }();
  for (std::uint32_t i = 0; i < kGroup; ++i) {
    const std::uint32_t k = turn.at + i;
    auto target = turn.targets.row(i);
    for (std::uint32_t j = 0; j < i && related(); ++j) {
      target += coupling_(turn.at + j, k) * turn.errors.row(turn.at + j);
    }
    for (Eigen::Index o = 0; o < target.cols(); o += kGroup) {
      const std::span<const float> group(&target[o], kGroup);
      const std::size_t output = turn.first_output + static_cast<std::size_t>(o);
      const GroupGrid grid = turn.rounding.grid(order_[k], output / kGroup, group, kAlike);
      const std::size_t start = std::size_t{order_[k]} * turn.matrix.cols + output;
      turn.codes.heads[start / kGroup] = grid.head;
      for (std::uint32_t c = 0; c < kGroup; ++c) {
        const unsigned code = turn.rounding.code(order_[k], output / kGroup, grid, group[c], 1);
        turn.codes.codes[start + c] = static_cast<std::uint8_t>(code);
        turn.errors(k, o + c) = turn.weights(i, o + c) - grid.weight_of(code);
      }
    }
  }
}

double ErrorFeedback::power(const StoredValues& matrix, std::span<const float> a,
                            std::span<const float> b, Parallel& parallel) const {
  const std::uint32_t inputs = matrix.inputs();
  const std::uint32_t tasks = (matrix.outputs() + kOutputsAtOnce - 1) / kOutputsAtOnce;
  std::vector<double> parts(tasks);
  parallel.for_each(tasks, [&](std::size_t task) {
    const std::size_t first = task * kOutputsAtOnce;
    const std::size_t count = std::min<std::size_t>(kOutputsAtOnce, matrix.outputs() - first);
    Grid some(inputs, static_cast<Eigen::Index>(count));
    for (std::size_t k = 0; k < inputs; ++k) {
      const std::size_t input = order_[k];
      for (std::size_t o = 0; o < count; ++o) {
        const std::size_t at = matrix.neuron_major ? input * matrix.cols + first + o
                                                   : (first + o) * matrix.cols + input;
        some(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(o)) =
            a[at] - (b.empty() ? 0.0F : b[at]);
      }
    }
    for (std::size_t o = 0; o < count && !matrix.importance.empty(); ++o) {
      some.col(static_cast<Eigen::Index>(o)) *= std::sqrt(matrix.importance[first + o]);
    }
    Grid left(inputs, static_cast<Eigen::Index>(count));
    if (related()) {
      left.noalias() = coupling_.transpose().triangularView<Eigen::UnitLower>() * some;
    } else {
      left = some;
    }
    const auto squares = left.rowwise().squaredNorm().cast<double>();
    parts[task] = squares.dot(energy_.cast<double>());
  });
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

}  // namespace skein
