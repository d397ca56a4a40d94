// Allocation: which format each matrix gets. The loss that a matrix's rounding costs is taken as
// alpha times its squared error, independent of the others' (HIGGS' linearity, Malinovskii et al.
// 2024), so the choice is a knapsack; the Lagrangian's path through it is walked from the smallest
// artifact on. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "kernels/ops/format.h"

namespace skein {

// What one format would mean for a matrix.
struct FormatChoice {
  Format format = Format::kQ4;
  std::uint64_t bytes = 0;
  double error = 0;  // squared, of the outputs, relative to theirs
  double loss = 0;   // nats a token, predicted
};

struct MatrixChoices {
  std::string name;
  double alpha = 0;                        // nats a token for each unit of error
  std::vector<FormatChoice> choices = {};  // ever more bytes
};

// At least one is set.
struct Budget {
  std::optional<std::uint64_t> most_bytes;  // of all matrices
  std::optional<double> most_loss;          // nats a token; the least bytes that reach it
};

struct Allocation {
  std::map<std::string, Format, std::less<>> formats;
  std::uint64_t bytes = 0;
  double loss = 0;  // predicted
};

// The least loss within most_bytes; with most_loss no more bytes than that asks for (if most_bytes
// comes first, the loss is above it). Errc::kOutOfRoom: even the smallest does not fit.
Result<Allocation> allocate(std::span<const MatrixChoices> matrices, const Budget& budget);

}  // namespace skein
