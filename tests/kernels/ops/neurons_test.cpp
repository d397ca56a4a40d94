#include "kernels/ops/neurons.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tests/support/random_floats.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::neuron_sums;
using test::random_floats;
using test::StoredMatrix;

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};

// h of a squared ReLU: mostly zeros, a long tail.
std::vector<float> sparse_hidden(std::size_t count, std::uint64_t seed) {
  std::vector<float> h = random_floats(count, seed);
  for (float& value : h) value = value > 0.7F ? value * value : 0;
  return h;
}

TEST(Neurons, AreTheDoublePrecisionSumOverTheNonZeros) {
  SerialParallel serial;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kRows, 700, 300, 6, 7);
    std::vector<float> h = sparse_hidden(700, 1);
    h[690] = 40;  // one that dwarfs the others
    const std::vector<float> y = neuron_sums(w, h, serial);
    double error = 0;
    double signal = 0;
    for (std::size_t j = 0; j < 300; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < 700; ++i) sum += double{h[i]} * double{w.values[i * 300 + j]};
      error += (double{y[j]} - sum) * (double{y[j]} - sum);
      signal += sum * sum;
    }
    EXPECT_LT(std::sqrt(error / signal), is_quantized(format) ? 1e-3 : 1e-6) << name_of(format);
  }
}

TEST(Neurons, BoundsAreNotBelowAnyScaleAndClose) {
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4}) {
    const StoredMatrix w(format, Layout::kRows, 40, 200, 6, 7);
    const std::vector<float> bounds = test::row_bounds(w.view());
    for (std::size_t row = 0; row < 40; ++row) {
      float largest = 0;
      for (std::size_t j = 0; j < 200; ++j) {
        largest = std::max(largest, std::fabs(w.values[row * 200 + j]));
      }
      EXPECT_GE(bounds[row] * 127, largest) << name_of(format);
      EXPECT_LE(bounds[row] * 40, largest) << name_of(format);
    }
  }
}

// A bound that lies is harmless: the sums are wrong, and the same everywhere.
TEST(Neurons, MultipliersStayInsideWhateverTheBoundsSay) {
  SerialParallel serial;
  const StoredMatrix w(Format::kQ8, Layout::kRows, 300, 64, 6);
  const std::vector<float> h = sparse_hidden(300, 4);
  const std::vector<float> bounds(300, 1e-9F);
  std::vector<float> y(64);
  neuron_matmul({{w.view(), bounds}, h.data(), y.data(), 1}, serial);
  for (const float value : y) EXPECT_TRUE(std::isfinite(value));
}

TEST(Neurons, BehindAZeroAreNeverRead) {
  SerialParallel serial;
  StoredMatrix w(Format::kF32, Layout::kRows, 8, 64, 7);
  std::vector<float> h(8, 0.0F);
  h[2] = 1;
  const float poison = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t row = 0; row < 8; ++row) {
    if (row != 2) store_le(w.bytes(), row * 256, poison);
  }
  std::vector<float> y(64);
  EXPECT_EQ(neuron_matmul({{w.view(), {}}, h.data(), y.data(), 1}, serial), 1U);
  for (const float value : y) EXPECT_FALSE(std::isnan(value));
}

TEST(Neurons, GiveTheSameBitsHoweverTheColumnsAreSplit) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kRows, 600, 1000, 8, 33);
    const std::vector<float> h = sparse_hidden(1800, 9);
    EXPECT_EQ(neuron_sums(w, h, serial), neuron_sums(w, h, shuffled)) << name_of(format);
    EXPECT_GT(shuffled.tasks_run, 1U);
  }
}

// The order in which quantized rows come makes no difference: a pager may add them as they arrive.
TEST(Neurons, OfQuantizedFormatsMayBeAddedInAnyOrderWithinABlock) {
  SerialParallel serial;
  std::mt19937 random(3);
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4}) {
    const StoredMatrix w(format, Layout::kRows, 256, 320, 8, 1);
    std::vector<float> h = sparse_hidden(256, 9);
    const std::vector<float> expected = neuron_sums(w, h, serial);
    std::vector<RowBlock> blocks(w.view().blocks.begin(), w.view().blocks.end());
    for (std::size_t i = blocks.size() - 1; i > 0; --i) {
      const std::size_t other = random() % (i + 1);
      std::swap(blocks[i].data, blocks[other].data);
      std::swap(h[i], h[other]);
    }
    MatrixView view = w.view();
    view.blocks = blocks;
    std::vector<float> y(320);
    const std::vector<float> bounds = test::row_bounds(view);
    neuron_matmul({{view, bounds}, h.data(), y.data(), 1}, serial);
    EXPECT_EQ(y, expected) << name_of(format);
  }
}

TEST(Neurons, BlocksAddUpToTheWholeProduct) {
  SerialParallel serial;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kRows, 600, 96, 8);
    const std::vector<float> h = sparse_hidden(600, 2);
    const std::vector<float> bounds = test::row_bounds(w.view());
    std::vector<float> sum(96, 0.0F);
    std::uint32_t read = 0;
    for (std::uint32_t block = 0; block < neuron_blocks_of(600); ++block) {
      std::vector<float> share(96, 0.0F);
      read += add_neuron_block({w.view(), bounds}, block, h, share.data());
      for (std::size_t j = 0; j < 96; ++j) sum[j] += share[j];
    }
    EXPECT_EQ(sum, neuron_sums(w, h, serial)) << name_of(format);
    EXPECT_EQ(read, 600 - std::ranges::count(h, 0.0F));
  }
}

}  // namespace
}  // namespace skein
