#include "kernels/ops/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/random_floats.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::InputRows;
using test::neuron_sums;
using test::product;
using test::random_floats;
using test::StoredMatrix;

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};

TEST(QuantizeInput, CodesAreTheNearestOf127Steps) {
  const std::vector<float> x = random_floats(70, 1, 3);
  const InputRows quantized(x);
  ASSERT_EQ(quantized.scales.size(), 3U);
  ASSERT_EQ(quantized.codes.size(), 96U);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(static_cast<float>(quantized.codes[i]) * quantized.scales[i / 32], x[i],
                quantized.scales[i / 32] * 0.501F);
  }
  for (std::size_t group = 0; group < 3; ++group) {
    const auto codes = std::span(quantized.codes).subspan(group * 32, 32);
    EXPECT_EQ(quantized.sums[group], std::accumulate(codes.begin(), codes.end(), 0));
  }
  for (std::size_t i = x.size(); i < 96; ++i) EXPECT_EQ(quantized.codes[i], 0);
}

TEST(QuantizeInput, TakesZerosTinyAndNonFiniteValues) {
  std::vector<float> x(96, 0.0F);
  x[32] = 1e-40F;
  x[64] = std::numeric_limits<float>::quiet_NaN();
  x[65] = -2;
  const InputRows quantized(x);
  EXPECT_EQ(quantized.scales[0], 0);
  EXPECT_EQ(quantized.scales[1], 0);
  EXPECT_EQ(quantized.codes[32], 0);
  EXPECT_EQ(quantized.codes[65], -127);
}

TEST(Matmul, IsCloseToTheDoublePrecisionProduct) {
  SerialParallel serial;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kTiles, 37, 75, 2);
    const std::vector<float> x = random_floats(75, 3);
    const InputRows quantized(x);
    const std::vector<float> y = product(w, quantized, serial);
    for (std::size_t row = 0; row < 37; ++row) {
      double sum = 0;
      double magnitude = 0;
      for (std::size_t col = 0; col < 75; ++col) {
        const double product = double{w.values[row * 75 + col]} * double{x[col]};
        sum += product;
        magnitude += std::abs(product);
      }
      const double tolerance = is_quantized(format) ? 0.02 : 1e-6;
      EXPECT_NEAR(double{y[row]}, sum, tolerance * magnitude) << name_of(format) << " row " << row;
    }
  }
}

TEST(Matmul, HasTheSameBitsHoweverTheRowsAreBlockedAndSplit) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  for (const Format format : kFormats) {
    const std::uint32_t cols = 1500;
    const StoredMatrix whole(format, Layout::kTiles, 333, cols, 4, 333);
    const StoredMatrix cut(format, Layout::kTiles, 333, cols, 4, 48);
    const InputRows x(random_floats(std::size_t{3} * cols, 5), cols);
    EXPECT_EQ(product(whole, x, serial), product(cut, x, shuffled)) << name_of(format);
    EXPECT_GT(shuffled.tasks_run, 1U);
  }
}

TEST(Matmul, SeveralProductsInOneRoundAreEachTheirOwn) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  const StoredMatrix first(Format::kQ4, Layout::kTiles, 100, 64, 1);
  const StoredMatrix second(Format::kF16, Layout::kTiles, 33, 96, 2, 16);
  const InputRows x(random_floats(std::size_t{2} * 64, 3), 64);
  const InputRows z(random_floats(96, 4));
  std::vector<float> y(200);
  std::vector<float> v(33);
  const Product products[] = {{first.view(), x.view(), y.data()},
                              {second.view(), z.view(), v.data()}};
  matmul(products, shuffled);
  EXPECT_EQ(y, product(first, x, serial));
  EXPECT_EQ(v, product(second, z, serial));
}

TEST(ReadRow, GivesTheRowAsStored) {
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kRows, 3, 45, 10);
    std::vector<float> row(45);
    const std::uint64_t row_bytes = stored_bytes(format, Layout::kRows, 1, 45);
    read_row(format, 45, w.view().blocks[0].data + 2 * row_bytes, row);
    EXPECT_EQ(row, std::vector<float>(w.values.begin() + 90, w.values.end())) << name_of(format);
  }
}

}  // namespace
}  // namespace skein
