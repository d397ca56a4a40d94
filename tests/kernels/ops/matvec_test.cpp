#include "kernels/ops/matvec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/random_floats.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::QuantizedVector;
using test::random_floats;
using test::StoredMatrix;

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};

TEST(QuantizeActivation, CodesAreTheNearestOf127Steps) {
  const std::vector<float> x = random_floats(70, 1, 3);
  const QuantizedVector quantized(x);
  ASSERT_EQ(quantized.scales.size(), 3U);
  ASSERT_EQ(quantized.codes.size(), 96U);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(static_cast<float>(quantized.codes[i]) * quantized.scales[i / 32], x[i],
                quantized.scales[i / 32] * 0.501F);
  }
  for (std::size_t i = x.size(); i < 96; ++i) EXPECT_EQ(quantized.codes[i], 0);
}

TEST(QuantizeActivation, TakesZerosTinyAndNonFiniteValues) {
  std::vector<float> x(96, 0.0F);
  x[32] = 1e-40F;
  x[64] = std::numeric_limits<float>::quiet_NaN();
  x[65] = -2;
  const QuantizedVector quantized(x);
  EXPECT_EQ(quantized.scales[0], 0);
  EXPECT_EQ(quantized.scales[1], 0);
  EXPECT_EQ(quantized.codes[32], 0);
  EXPECT_EQ(quantized.codes[65], -127);
}

TEST(Matvec, IsCloseToTheDoublePrecisionProduct) {
  SerialParallel serial;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kTiles, 37, 75, 2);
    const std::vector<float> x = random_floats(75, 3);
    const QuantizedVector quantized(x);
    std::vector<float> y(37, -1);
    matvec(w.view(), quantized.view(), y, serial);
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

TEST(Matvec, HasTheSameBitsHoweverTheRowsAreBlockedAndSplit) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  for (const Format format : kFormats) {
    const std::uint32_t cols = 1500;
    const StoredMatrix whole(format, Layout::kTiles, 333, cols, 4, 333);
    const StoredMatrix cut(format, Layout::kTiles, 333, cols, 4, 48);
    const QuantizedVector x(random_floats(cols, 5));
    std::vector<float> expected(333);
    std::vector<float> split(333);
    matvec(whole.view(), x.view(), expected, serial);
    matvec(cut.view(), x.view(), split, shuffled);
    EXPECT_EQ(expected, split) << name_of(format);
    EXPECT_GT(shuffled.tasks_run, 1U);
  }
}

TEST(SparseAccumulate, AddsOnlyTheRowsBehindNonZeros) {
  SerialParallel serial;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kRows, 40, 70, 6, 7);
    std::vector<float> h(40, 0.0F);
    h[3] = 0.5F;
    h[17] = 2.0F;
    h[39] = 1.25F;
    std::vector<std::uint32_t> active(40);
    std::vector<float> y(70, -1);
    EXPECT_EQ(sparse_accumulate(w.view(), h, active, y, serial), 3U);
    for (std::size_t col = 0; col < 70; ++col) {
      const double sum = 0.5 * double{w.values[3 * 70 + col]} +
                         2 * double{w.values[17 * 70 + col]} +
                         1.25 * double{w.values[39 * 70 + col]};
      EXPECT_NEAR(double{y[col]}, sum, 1e-5) << name_of(format);
    }
  }
}

TEST(SparseAccumulate, NeverReadsARowBehindAZero) {
  SerialParallel serial;
  StoredMatrix w(Format::kF32, Layout::kRows, 8, 64, 7);
  std::vector<float> h(8, 0.0F);
  h[2] = 1;
  const float poison = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t row = 0; row < 8; ++row) {
    if (row != 2) store_le(w.bytes(), row * 256, poison);
  }
  std::vector<std::uint32_t> active(8);
  std::vector<float> y(64);
  EXPECT_EQ(sparse_accumulate(w.view(), h, active, y, serial), 1U);
  for (const float value : y) EXPECT_FALSE(std::isnan(value));
}

TEST(SparseAccumulate, HasTheSameBitsHoweverTheColumnsAreSplit) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kRows, 200, 1000, 8, 33);
    std::vector<float> h = random_floats(200, 9);
    for (float& value : h) value = value > 0.3F ? value * value : 0;
    std::vector<std::uint32_t> active(200);
    std::vector<float> expected(1000);
    std::vector<float> split(1000);
    sparse_accumulate(w.view(), h, active, expected, serial);
    sparse_accumulate(w.view(), h, active, split, shuffled);
    EXPECT_EQ(expected, split) << name_of(format);
  }
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
