// UniformRounding: entropy-constrained scalar quantization (Sullivan 1996) on the run formats' own
// grids. Instead of a grid fitted to each group's range, a step that follows from what an error
// costs: with squared errors weighted by c (the output's importance times D of the input, see
// error_feedback.h), bits and error are best traded where c * step^2 is the same everywhere. So a
// group's step is a product of one number for its row and one for its column of groups, which costs
// next to nothing once coded, and zero is always a code. Codes are chosen by squared error plus a
// price for bits, which widens the zero's interval and clips what is rare. A group that its
// format's codes do not span takes a larger step where that is worth more than the bits of another
// head.
//
// What a code's bits are thought to be is learned by classes of steps (METHODS 2.2), much as pages
// are coded with contexts by rows or columns (kernels/codecs).
//
// Immutable once prepared; any thread.
#pragma once

#include <array>

#include "coordinator/compress/internal/error_feedback.h"

namespace skein {

inline constexpr std::uint32_t kStepClasses = 16;  // half octaves, over eight octaves

// What a bit is worth in squared steps where steps are traded for bits: ln 2 / 6. Codes may be
// chosen at a lower price: errors that feedback hands on cost more than their squares.
inline constexpr double kTradedPrice = 0.11552453009332421;

struct UniformRule {
  double scale = 1;     // step^2 where the weight of errors is 1
  double exponent = 1;  // step^2 is proportional to weight^-exponent; about the geometric mean
  double price = 0;     // of a bit, in squared steps; 0: the nearest code
};

class UniformRounding final : public GroupRounding {
 public:
  // `energies`: D of each input. Rows of whole groups.
  static UniformRounding prepare(const StoredValues& matrix, Format format,
                                 std::span<const float> energies, const UniformRule& rule);

  GroupGrid grid(std::size_t row, std::size_t group, std::span<const float> targets,
                 std::span<const float> importance) const override;
  unsigned code(std::size_t row, std::size_t group, const GroupGrid& grid, float target,
                float importance) const override;

 private:
  struct Shape {
    Format format = Format::kQ4;
    float most = 15;     // the largest code
    float centre = 8;    // the code of zero
    int least_step = 0;  // codes of steps, see step_of
    int largest_step = 0;
  };
  static Shape shape_of(Format format);
  GroupGrid grid_of(int step, int aside) const;
  int step_at(std::size_t row, std::size_t group) const;
  double cost(const GroupGrid& grid, float share, std::span<const float> targets,
              std::span<const float> importance) const;
  float share_at(std::size_t row, std::size_t group) const;
  void plan_steps(const StoredValues& matrix, std::span<const float> energies,
                  const UniformRule& rule);
  void learn_bits(const StoredValues& matrix);

  Shape shape_;
  double price_ = 0;
  std::vector<std::int32_t> of_row_;    // codes of steps: their sum is the group's
  std::vector<std::int32_t> of_group_;  // by group of a row
  std::vector<float> mean_;             // importance, by group of a row
  std::array<std::array<float, 256>, kStepClasses> bits_{};  // of each code
};

}  // namespace skein
