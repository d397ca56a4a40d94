// Uniform steps: what they do not depend on, and what they trade.
#include "coordinator/compress/internal/uniform_rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/compress/internal/coded_size.h"
#include "coordinator/compress/internal/step_search.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::random_floats;

constexpr Format kFormats[] = {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4};
constexpr std::uint32_t kRows = 64;
constexpr std::uint32_t kCols = 96;

struct Rounded {
  GroupCodes codes;
  std::vector<float> values;
  std::uint64_t bytes = 0;
  double error = 0;
};

// Inputs have nothing to do with each other; D of an input grows with its place.
Rounded rounded(std::span<const float> values, Format format, const UniformRule& rule,
                Parallel& parallel, bool neuron_major = false) {
  const StoredValues matrix{.layout = neuron_major ? Layout::kRows : Layout::kTiles,
                            .rows = kRows,
                            .cols = kCols,
                            .neuron_major = neuron_major,
                            .values = values};
  std::vector<float> energies(matrix.inputs());
  for (std::size_t i = 0; i < energies.size(); ++i) {
    energies[i] = 0.5F + 0.05F * static_cast<float>(i);
  }
  const ErrorFeedback feedback = ErrorFeedback::unrelated(energies);
  Rounded out;
  out.codes =
      feedback.round(matrix, UniformRounding::prepare(matrix, format, energies, rule), parallel);
  Buffer stored(stored_bytes(format, matrix.layout, kRows, kCols));
  place(out.codes, matrix, format, stored);
  out.values.resize(values.size());
  decode(format, matrix.layout, kRows, kCols, stored, out.values);
  TensorEntry tensor;
  tensor.format = format;
  tensor.layout = matrix.layout;
  tensor.rows = kRows;
  tensor.cols = kCols;
  out.bytes = coded_bytes(tensor, stored);
  out.error = feedback.power(matrix, out.values, values, parallel);
  return out;
}

TEST(UniformRounding, AMatrixTwiceAsLargeHasTheSameCodes) {
  SerialParallel serial;
  const auto values = random_floats(std::size_t{kRows} * kCols, 3, 0.1F);
  std::vector<float> twice = values;
  for (float& value : twice) value *= 2;
  for (const Format format : kFormats) {
    for (const bool neuron_major : {false, true}) {
      const Rounded one = rounded(values, format, {.scale = 1e-4}, serial, neuron_major);
      const Rounded two = rounded(twice, format, {.scale = 4e-4}, serial, neuron_major);
      EXPECT_EQ(one.codes.codes, two.codes.codes) << name_of(format);
      for (std::size_t i = 0; i < values.size(); i += 7) {
        EXPECT_EQ(2 * one.values[i], two.values[i]);
      }
    }
  }
}

TEST(UniformRounding, WhatIsOnItsGridStaysThere) {
  SerialParallel serial;
  const auto values = random_floats(std::size_t{kRows} * kCols, 5, 0.1F);
  const UniformRule nearest{.scale = 4e-3, .price = 0};  // no group is beyond the codes
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5}) {
    const Rounded once = rounded(values, format, nearest, serial);
    EXPECT_EQ(rounded(once.values, format, nearest, serial).values, once.values) << name_of(format);
  }
}

TEST(UniformRounding, ADearerBitLeavesFewerOfThemAndMoreError) {
  SerialParallel serial;
  const auto values = random_floats(std::size_t{kRows} * kCols, 7, 0.1F);
  double error = 0;
  std::uint64_t bytes = ~0ULL;
  for (const double price : {0.0, 0.1, 0.3, 0.8}) {
    const Rounded some = rounded(values, Format::kQ6, {.scale = 1e-3, .price = price}, serial);
    EXPECT_LT(some.bytes, bytes) << price;
    EXPECT_GT(some.error, error) << price;
    bytes = some.bytes;
    error = some.error;
  }
}

TEST(UniformRounding, AWiderStepTakesFewerBits) {
  SerialParallel serial;
  const auto values = random_floats(std::size_t{kRows} * kCols, 9, 0.1F);
  std::uint64_t bytes = ~0ULL;
  for (const double scale : {1e-4, 4e-4, 2e-3, 1e-2}) {
    const Rounded some = rounded(values, Format::kQ6, {.scale = scale}, serial);
    EXPECT_LT(some.bytes, bytes) << scale;
    bytes = some.bytes;
  }
}

TEST(UniformRounding, GivesTheSameCodesInAnyOrderOfTasks) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  const auto values = random_floats(std::size_t{kRows} * kCols, 11, 0.1F);
  const Rounded one = rounded(values, Format::kQ4, {.scale = 1e-4}, serial);
  const Rounded two = rounded(values, Format::kQ4, {.scale = 1e-4}, shuffled);
  EXPECT_EQ(one.codes.codes, two.codes.codes);
  EXPECT_EQ(one.codes.heads, two.codes.heads);
}

// A group of its own size, far beyond what the format's codes reach at the matrix's step.
TEST(UniformRounding, AGroupBeyondTheCodesIsNotCutOff) {
  SerialParallel serial;
  auto values = random_floats(std::size_t{kRows} * kCols, 13, 0.1F);
  for (std::size_t i = 0; i < kGroup; ++i) values[5 * kCols + i] *= 60;
  const Rounded some = rounded(values, Format::kQ4, {.scale = 1e-3}, serial);
  for (std::size_t i = 5 * kCols; i < 5 * kCols + kGroup; ++i) {
    EXPECT_NEAR(some.values[i], values[i], 1.0F);
  }
}

SteppedMatrix surveyed(double q4, double q5, double q6) {
  SteppedMatrix matrix{.weights = 800, .alpha = 1};
  matrix.formats = {{Format::kQ4, {400, q4}}, {Format::kQ5, {400, q5}}, {Format::kQ6, {400, q6}}};
  return matrix;
}

TEST(RunFormats, WiderOnesGoWhereABitSavesMost) {
  std::map<std::string, SteppedMatrix, std::less<>> all;
  all["much"] = surveyed(1e-3, 5e-4, 4.9e-4);
  all["late"] = surveyed(1e-3, 9.9e-4, 3e-4);  // q5 alone helps little
  all["some"] = surveyed(1e-3, 9e-4, 9e-4);
  all["emb.weight"] = surveyed(1e-3, 8e-4, 7e-4);
  const auto formats = [&](std::optional<std::uint64_t> bytes, std::string_view free) {
    const auto chosen = choose_run_formats(all, 1e-9, bytes, free);
    std::string text;
    for (const auto& [name, format] : chosen) text += std::string(name_of(format)) + " ";
    return text;  // emb.weight, late, much, some
  };
  EXPECT_EQ(formats(0, ""), "q4 q4 q4 q4 ");
  EXPECT_EQ(formats(100, ""), "q4 q4 q5 q4 ");
  EXPECT_EQ(formats(300, ""), "q4 q6 q5 q4 ");
  EXPECT_EQ(formats(300, "emb.weight"), "q6 q6 q5 q4 ");
  EXPECT_EQ(formats({}, ""), "q6 q6 q6 q5 ");
}

TEST(StepSearch, FindsTheBitsThatWereAskedFor) {
  for (const double target : {2.7, 3.2, 3.6, 5.0}) {
    StepSearch search(target, 1e-9);
    const auto bits = [&] {
      return 1 + std::log1p(std::exp(-0.35 * std::log2(search.loss_step()) - 9));
    };
    for (int i = 0;; ++i) {
      ASSERT_LT(i, 10);
      const auto again = search.take(bits());
      ASSERT_TRUE(again);
      if (!*again) break;
    }
    EXPECT_LE(bits(), target);
    EXPECT_GT(bits(), target - 0.02);
  }
}

TEST(StepSearch, SaysWhereNoStepIsWideEnough) {
  StepSearch search(1.5, 1e-9);
  Result<bool> again = true;
  for (int i = 0; i < 10 && again && *again; ++i) again = search.take(2.0);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kOutOfRoom);
}

}  // namespace
}  // namespace skein
