// ErrorFeedback: rounding that lets each input's error be made good by the inputs still to come
// (GPTQ, Frantar et al. 2022; the LDLQ form of QuIP, Chee et al. 2023), on Skein's own grids.
//
// With H the mean of x x^T over a text, the outputs of W' miss those of W by tr(E H E^T), E = W -
// W'. H = U D U^T with U unit upper triangular turns this into a sum over inputs k of D_k times the
// squares of (E U)_k. So input k is not rounded from W_k but from W_k + sum over i < k of E_i U_ik:
// what is left of its term is its own rounding alone.
//
// Groups bind 32 neighbours along a stored row. Where rows run along inputs, whole groups take
// their turn, the most energetic first, and a group's grid is fitted to its targets weighed with D.
// The channel-mix value is stored neuron-major: there each neuron's row has grids of its own, and
// the turns are the neurons', in order of energy.
//
// Immutable once prepared; any thread.
#pragma once

#include <vector>

#include "coordinator/compress/internal/input_statistics.h"
#include "kernels/ops/format.h"

namespace skein {

// A matrix as it is stored; values are row-major.
struct StoredValues {
  Layout layout = Layout::kTiles;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  bool neuron_major = false;  // rows are inputs; else columns are
  std::span<const float> values = {};
  std::span<const float> importance = {};  // of each output's squared error; empty: 1

  std::uint32_t inputs() const { return neuron_major ? rows : cols; }
  std::uint32_t outputs() const { return neuron_major ? cols : rows; }
};

// A matrix's rounding as its format stores it, row-major: codes (q8's count from 127) and a head
// for each group (q8: its scale).
struct GroupCodes {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint16_t> heads;
};

// What a group is rounded to. Immutable; any thread.
class GroupRounding {
 public:
  virtual ~GroupRounding() = default;
  // Of the stored row's group-th group; `targets` and their importance (1 at most) as they lie.
  virtual GroupGrid grid(std::size_t row, std::size_t group, std::span<const float> targets,
                         std::span<const float> importance) const = 0;
  // A code of that grid for one of its weights.
  virtual unsigned code(std::size_t row, std::size_t group, const GroupGrid& grid, float target,
                        float importance) const = 0;
};

// The grid that fits the group best, and the nearest code.
class FittedRounding final : public GroupRounding {
 public:
  explicit FittedRounding(Format format) : format_(format) {}
  GroupGrid grid(std::size_t, std::size_t, std::span<const float> targets,
                 std::span<const float> importance) const override {
    return fit_grid(format_, targets, importance);
  }
  unsigned code(std::size_t, std::size_t, const GroupGrid& grid, float target,
                float) const override {
    return grid.code_of(target);
  }

 private:
  Format format_;
};

class ErrorFeedback {
 public:
  // `damping`: share of the mean of H's diagonal that is added to it. The matrix's inputs must be
  // whole groups. Errc::kCorrupt: H cannot be decomposed.
  static Result<ErrorFeedback> prepare(const InputStatistics& statistics, bool neuron_major,
                                       double damping);

  // No input makes good for another: rounding to the nearest, each input (at least one) as
  // energetic as it is said to be.
  static ErrorFeedback unrelated(std::span<const float> energies);

  // D, in the order of the inputs.
  std::vector<float> energies() const;
  // Rows of whole groups. The same codes for any number of threads.
  GroupCodes round(const StoredValues& matrix, const GroupRounding& rounding,
                   Parallel& parallel) const;
  // The same on fitted grids, placed. out.size() == stored_bytes(...); format is q8 to q4.
  void encode(const StoredValues& matrix, Format format, Parallel& parallel,
              MutableByteView out) const;
  // tr(V H V^T), each output times its importance, of V = a - b, which are stored as `matrix` says
  // (its values are not looked at); an empty b is zero.
  double power(const StoredValues& matrix, std::span<const float> a, std::span<const float> b,
               Parallel& parallel) const;

 private:
  struct Turn;
  bool related() const { return coupling_.size() > 0; }
  void round_outputs(const StoredValues& matrix, const GroupRounding& rounding, std::uint32_t first,
                     std::uint32_t count, GroupCodes& codes) const;
  void round_groups(const Turn& turn) const;
  void round_rows(const Turn& turn) const;

  std::vector<std::uint32_t> order_;  // of inputs
  Eigen::MatrixXf coupling_;          // U, by turn; empty: no input has to do with another
  Eigen::VectorXf energy_;            // D, by turn
};

// out.size() == stored_bytes(...).
void place(const GroupCodes& codes, const StoredValues& matrix, Format format, MutableByteView out);

}  // namespace skein
