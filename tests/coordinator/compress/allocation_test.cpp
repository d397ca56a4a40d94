#include "coordinator/compress/internal/allocation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace skein {
namespace {

constexpr Format kFormats[] = {Format::kQ4, Format::kQ5, Format::kQ6, Format::kQ8};

std::vector<MatrixChoices> random_matrices(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<MatrixChoices> out;
  for (std::size_t i = 0; i < count; ++i) {
    MatrixChoices matrix{.name = "m" + std::to_string(i)};
    const std::uint64_t weights = 64 * (1 + random() % 20);
    matrix.alpha = static_cast<double>(1 + random() % 1000);
    const unsigned bits[] = {4, 5, 6, 8};
    for (std::size_t f = 0; f < 4; ++f) {
      const double error = std::ldexp(1.0, -2 * static_cast<int>(bits[f]));
      matrix.choices.push_back({kFormats[f], weights * bits[f] / 8, error, matrix.alpha * error});
    }
    out.push_back(std::move(matrix));
  }
  return out;
}

// The best of all 4^n ways.
double least_loss(std::span<const MatrixChoices> matrices, std::uint64_t bytes) {
  if (matrices.empty()) return 0;
  double best = INFINITY;
  for (const FormatChoice& choice : matrices.front().choices) {
    if (choice.bytes > bytes) continue;
    best = std::min(best, choice.loss + least_loss(matrices.subspan(1), bytes - choice.bytes));
  }
  return best;
}

void expect_consistent(const Allocation& allocation, std::span<const MatrixChoices> matrices) {
  std::uint64_t bytes = 0;
  double loss = 0;
  for (const MatrixChoices& matrix : matrices) {
    for (const FormatChoice& choice : matrix.choices) {
      if (choice.format != allocation.formats.at(matrix.name)) continue;
      bytes += choice.bytes;
      loss += choice.loss;
    }
  }
  EXPECT_EQ(allocation.bytes, bytes);
  EXPECT_NEAR(allocation.loss, loss, 1e-9 * (1 + loss));
}

TEST(Allocation, StaysWithinItsBytesAndNearTheBestOfAllWays) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto matrices = random_matrices(6, seed);
    std::uint64_t smallest = 0;
    std::uint64_t largest = 0;
    for (const MatrixChoices& matrix : matrices) {
      smallest += matrix.choices.front().bytes;
      largest += matrix.choices.back().bytes;
    }
    for (const std::uint64_t bytes : {smallest, (2 * smallest + largest) / 3, largest}) {
      const auto found = allocate(matrices, {.most_bytes = bytes, .most_loss = {}});
      ASSERT_TRUE(found);
      expect_consistent(*found, matrices);
      EXPECT_LE(found->bytes, bytes);
      const double best = least_loss(matrices, bytes);
      EXPECT_GE(found->loss, best * (1 - 1e-12));
      EXPECT_LE(found->loss, best * 1.5) << "seed " << seed << ", " << bytes << " bytes";
    }
  }
}

TEST(Allocation, SpendsNoMoreThanALossAsksFor) {
  const auto matrices = random_matrices(40, 3);
  const auto least = allocate(matrices, {.most_bytes = 1U << 30, .most_loss = {}});
  ASSERT_TRUE(least);
  std::uint64_t before = least->bytes + 1;
  for (const double loss : {least->loss * 2, least->loss * 20, least->loss * 100, 1e9}) {
    const auto found = allocate(matrices, {.most_bytes = {}, .most_loss = loss});
    ASSERT_TRUE(found);
    expect_consistent(*found, matrices);
    EXPECT_LE(found->loss, loss);
    EXPECT_LT(found->bytes, before);
    before = found->bytes;
  }
}

TEST(Allocation, StopsAtItsBytesWhenALossIsOutOfReach) {
  const auto matrices = random_matrices(10, 4);
  std::uint64_t smallest = 0;
  for (const MatrixChoices& matrix : matrices) smallest += matrix.choices.front().bytes;
  const auto found = allocate(matrices, {.most_bytes = smallest + 100, .most_loss = 0});
  ASSERT_TRUE(found);
  EXPECT_LE(found->bytes, smallest + 100);
  EXPECT_GT(found->loss, 0);
}

TEST(Allocation, RefusesFewerBytesThanTheSmallestFormatsTake) {
  const auto matrices = random_matrices(3, 5);
  const auto refused = allocate(matrices, {.most_bytes = 10, .most_loss = {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
}

// More bits need not help: then they are not spent.
TEST(Allocation, PassesOverFormatsThatGainNothing) {
  MatrixChoices matrix{.name = "m", .alpha = 1};
  matrix.choices = {{Format::kQ4, 40, 0.1, 0.1},
                    {Format::kQ5, 50, 0.2, 0.2},
                    {Format::kQ6, 60, 0.05, 0.05},
                    {Format::kQ8, 80, 0.05, 0.05}};
  const auto found = allocate(std::span(&matrix, 1), {.most_bytes = 1000, .most_loss = {}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->formats.at("m"), Format::kQ6);
}

}  // namespace
}  // namespace skein
