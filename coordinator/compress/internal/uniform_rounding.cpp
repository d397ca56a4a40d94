#include "coordinator/compress/internal/uniform_rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/base/check.h"

namespace skein {
namespace {

constexpr double kHeadBits = 9;     // what a head unlike its neighbours costs, about
constexpr int kStepsAnOctave = 16;  // of a head's scale
constexpr int kDetours = 5;         // steps tried below the one that spans a group
constexpr int kDetour = 3;          // from one to the next
constexpr int kRowSteps = 4;        // rows' shares of a step are multiples: a quarter octave
constexpr int kClassSteps = 8;      // of a context

int packed_bits_of(Format format) {
  return format == Format::kQ6 ? 6 : format == Format::kQ5 ? 5 : 4;
}

// Codes of steps: 16 an octave, 2^(code >> 4) * (1 + (code & 15) / 16), as heads have them.
float step_of(int code) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(code + 127 * kStepsAnOctave) << 19);
}
// A step's place among codes, which need not be whole.
double place_of(double log2_step) {
  const double octave = std::floor(log2_step);
  return kStepsAnOctave * (octave + std::exp2(log2_step - octave) - 1);
}

// What an error of each group's weights costs, the mean over the group.
std::vector<double> weights_of_groups(const StoredValues& matrix, std::span<const float> energies) {
  if (matrix.neuron_major) return {1.0};
  std::vector<double> means(matrix.cols / kGroup, 0.0);
  for (std::size_t i = 0; i < energies.size(); ++i) {
    means[i / kGroup] += static_cast<double>(energies[i]) / kGroup;
  }
  return means;
}

std::vector<double> weights_of_rows(const StoredValues& matrix, std::span<const float> energies) {
  if (matrix.neuron_major) return {energies.begin(), energies.end()};
  if (matrix.importance.empty()) return std::vector<double>(matrix.rows, 1.0);
  return {matrix.importance.begin(), matrix.importance.end()};
}

double mean_log2(std::span<const double> weights) {
  double sum = 0;
  for (const double weight : weights) sum += std::log2(weight);
  return sum / static_cast<double>(weights.size());
}

std::uint8_t step_class(Format format, std::uint16_t head) {
  // The upper bits of a half float's exponent and mantissa, or of a packed head's.
  const unsigned code = format == Format::kQ8 ? head >> 6 : head >> 7;
  return static_cast<std::uint8_t>(code / kClassSteps % kStepClasses);
}

}  // namespace

UniformRounding::Shape UniformRounding::shape_of(Format format) {
  if (format == Format::kQ8) {
    // Half floats without the subnormals.
    return {format, 254, 127, -14 * kStepsAnOctave, 15 * kStepsAnOctave};
  }
  const int bits = packed_bits_of(format);
  const int finest = (7 - bits - 24) * kStepsAnOctave;
  return {format, static_cast<float>((1 << bits) - 1), static_cast<float>(1 << (bits - 1)), finest,
          finest + 511};
}

UniformRounding UniformRounding::prepare(const StoredValues& matrix, Format format,
                                         std::span<const float> energies, const UniformRule& rule) {
  CHECK(is_quantized(format) && matrix.cols % kGroup == 0 && energies.size() == matrix.inputs());
  CHECK(rule.scale > 0 && rule.price >= 0);
  UniformRounding out;
  out.shape_ = shape_of(format);
  out.price_ = rule.price;
  out.plan_steps(matrix, energies, rule);
  out.learn_bits(matrix);
  return out;
}

void UniformRounding::plan_steps(const StoredValues& matrix, std::span<const float> energies,
                                 const UniformRule& rule) {
  const std::vector<double> groups = weights_of_groups(matrix, energies);
  const std::vector<double> rows = weights_of_rows(matrix, energies);
  const double middle = mean_log2(groups) + mean_log2(rows);
  const double whole = (std::log2(rule.scale) - middle + rule.exponent * middle) / 2;
  for (const double group : groups) {
    const double log2_step = whole - rule.exponent / 2 * std::log2(group);
    of_group_.push_back(static_cast<std::int32_t>(std::lround(place_of(log2_step))));
  }
  of_group_.resize(matrix.cols / kGroup, of_group_.back());
  mean_.assign(of_group_.size(), 1);
  for (std::size_t g = 0; g < groups.size() && !matrix.neuron_major; ++g) {
    const float most = std::ranges::max(energies.subspan(g * kGroup, kGroup));
    mean_[g] = static_cast<float>(groups[g]) / most;
  }
  for (const double row : rows) {
    const double log2_step = -rule.exponent / 2 * std::log2(row);
    of_row_.push_back(static_cast<std::int32_t>(std::lround(place_of(log2_step) / kRowSteps)) *
                      kRowSteps);
  }
}

int UniformRounding::step_at(std::size_t row, std::size_t group) const {
  return std::clamp(of_row_[row] + of_group_[group], shape_.least_step, shape_.largest_step);
}

GroupGrid UniformRounding::grid_of(int step, int aside) const {
  GroupGrid grid{.step = step_of(step),
                 .zero = shape_.centre - static_cast<float>(aside),
                 .most = shape_.most};
  if (shape_.format == Format::kQ8) {
    grid.head = narrow_f16(grid.step);
  } else {
    const auto per_step = static_cast<unsigned>(1 << (7 - packed_bits_of(shape_.format)));
    grid.head = packed_head(grid.step / static_cast<float>(per_step),
                            static_cast<unsigned>(grid.zero) * per_step);
  }
  return grid;
}

void UniformRounding::learn_bits(const StoredValues& matrix) {
  std::array<std::array<double, 256>, kStepClasses> counts{};
  const std::size_t groups = matrix.cols / kGroup;
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    for (std::size_t group = 0; group < groups; ++group) {
      const GroupGrid grid = grid_of(step_at(row, group), 0);
      auto& of_class = counts[step_class(shape_.format, grid.head)];
      const auto weights = matrix.values.subspan((row * groups + group) * kGroup, kGroup);
      for (const float weight : weights) ++of_class[grid.code_of(weight)];
    }
  }
  for (std::size_t c = 0; c < kStepClasses; ++c) {
    double all = 0;
    const auto most = static_cast<std::size_t>(shape_.most);
    for (std::size_t code = 0; code <= most; ++code) all += counts[c][code] += 0.5;
    for (std::size_t code = 0; code <= most; ++code) {
      bits_[c][code] = static_cast<float>(-std::log2(counts[c][code] / all));
    }
  }
}

// What a squared error of importance 1 weighs, in squares of the group's own step.
float UniformRounding::share_at(std::size_t row, std::size_t group) const {
  const float step = step_of(step_at(row, group));
  return 1.0F / (step * step * mean_[group]);
}

double UniformRounding::cost(const GroupGrid& grid, float share, std::span<const float> targets,
                             std::span<const float> importance) const {
  const auto& bits = bits_[step_class(shape_.format, grid.head)];
  double sum = 0;
  for (std::size_t i = 0; i < kGroup; ++i) {
    const unsigned code = grid.code_of(targets[i]);
    const float miss = targets[i] - grid.weight_of(code);
    sum += static_cast<double>(miss * miss * importance[i] * share) + kTradedPrice * bits[code];
  }
  return sum;
}

GroupGrid UniformRounding::grid(std::size_t row, std::size_t group, std::span<const float> targets,
                                std::span<const float> importance) const {
  const int own = step_at(row, group);
  GroupGrid best = grid_of(own, 0);
  const auto [low, high] = std::ranges::minmax(targets);
  const auto fits = [&](const GroupGrid& grid) {
    return low / grid.step + grid.zero > -0.6F && high / grid.step + grid.zero < grid.most + 0.6F;
  };
  if (fits(best)) return best;
  const float share = share_at(row, group);
  double least = cost(best, share, targets, importance);
  const double head = kTradedPrice * kHeadBits;
  const auto consider = [&](const GroupGrid& tried) {
    const double all = cost(tried, share, targets, importance) + head;
    if (!(all < least)) return;
    least = all;
    best = tried;
  };
  // From a little below the step that spans the targets about zero.
  const float spanning = std::max(high / (shape_.most - shape_.centre), -low / shape_.centre);
  const double place = std::ceil(place_of(std::log2(static_cast<double>(spanning))));
  const int last = std::clamp(static_cast<int>(place), own, shape_.largest_step);
  for (int step = std::max(own, last - kDetours * kDetour); step <= last; step += kDetour) {
    for (int aside = -2; aside <= 2; ++aside) {
      if (shape_.format == Format::kQ8 && aside != 0) continue;
      consider(grid_of(step, aside));
    }
  }
  consider(fit_grid(shape_.format, targets, importance));
  return best;
}

unsigned UniformRounding::code(std::size_t row, std::size_t group, const GroupGrid& grid,
                               float target, float importance) const {
  const float share = share_at(row, group) * importance;
  const auto& bits = bits_[step_class(shape_.format, grid.head)];
  const unsigned nearest = grid.code_of(target);
  const auto price = static_cast<float>(price_);
  const auto zero = static_cast<unsigned>(grid.zero);
  unsigned best = nearest;
  float least = -1;
  for (unsigned code = nearest;;) {
    const float miss = target - grid.weight_of(code);
    const float all = miss * miss * share + price * bits[code];
    if (least >= 0 && !(all < least)) break;
    least = all;
    best = code;
    if (code == zero) break;
    code += code < zero ? 1 : ~0U;
  }
  return best;
}

}  // namespace skein
