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

  std::uint32_t inputs() const { return neuron_major ? rows : cols; }
  std::uint32_t outputs() const { return neuron_major ? cols : rows; }
};

class ErrorFeedback {
 public:
  // `damping`: share of the mean of H's diagonal that is added to it. The matrix's inputs must be
  // whole groups. Errc::kCorrupt: H cannot be decomposed.
  static Result<ErrorFeedback> prepare(const InputStatistics& statistics, bool neuron_major,
                                       double damping);

  // out.size() == stored_bytes(...). Rows of whole groups; format is q8 to q4. The same bytes for
  // any number of threads.
  void encode(const StoredValues& matrix, Format format, Parallel& parallel,
              MutableByteView out) const;
  // tr(V H V^T) of V = a - b, which are stored as `matrix` says (its values are not looked at); an
  // empty b is zero.
  double power(const StoredValues& matrix, std::span<const float> a, std::span<const float> b,
               Parallel& parallel) const;

 private:
  struct Codes;
  struct Turn;
  void encode_outputs(const StoredValues& matrix, Format format, std::uint32_t first,
                      std::uint32_t count, Codes& codes) const;
  void round_groups(const Turn& turn) const;
  void round_rows(const Turn& turn) const;

  std::vector<std::uint32_t> order_;  // of inputs
  Eigen::MatrixXf coupling_;          // U, by turn
  Eigen::VectorXf energy_;            // D, by turn
};

}  // namespace skein
