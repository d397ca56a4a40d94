// Every instruction set of this CPU against the scalar reference, bit for bit, on odd shapes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/isa/kernel_table.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/wkv.h"
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

// Random shapes tried; few where an emulator runs them.
int rounds() { return std::getenv("SKEIN_TEST_QUICK") == nullptr ? 40 : 4; }

// Runs `compute` once per instruction set and expects the scalar one's bits from all.
template <class Compute>
void expect_same_bits(Compute compute) {
  ASSERT_TRUE(select_isa("scalar"));
  const std::vector<float> expected = compute();
  for (const Isa isa : supported_isas()) {
    ASSERT_TRUE(select_isa(name_of(isa)));
    const std::vector<float> got = compute();
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
        << name_of(isa);
  }
  ASSERT_TRUE(select_isa(""));
}

TEST(SameBits, ProductsOfEveryFormatAndOddShape) {
  SerialParallel serial;
  std::mt19937 shapes(1);
  for (int round = 0; round < rounds(); ++round) {
    const auto rows = static_cast<std::uint32_t>(1 + shapes() % 90);
    const auto cols = static_cast<std::uint32_t>(1 + shapes() % 700);
    const std::size_t count = round % 2 == 0 ? 1 : 1 + shapes() % 19;
    const InputRows x(random_floats(cols * count, 100 + static_cast<std::uint64_t>(round)), cols);
    for (const Format format : kFormats) {
      SCOPED_TRACE(testing::Message()
                   << name_of(format) << " " << rows << " x " << cols << " x " << count);
      const StoredMatrix w(format, Layout::kTiles, rows, cols, shapes(), 32);
      expect_same_bits([&] { return product(w, x, serial); });
    }
  }
}

// What batching may not change: the same vector alone and among others.
TEST(SameBits, AnInputAloneAndAmongOthers) {
  SerialParallel serial;
  for (const Format format : kFormats) {
    const StoredMatrix w(format, Layout::kTiles, 50, 200, 3);
    const StoredMatrix neurons(format, Layout::kRows, 300, 200, 4);
    const InputRows many(random_floats(23 * 200, 4), 200);
    std::vector<float> h = random_floats(23 * 300, 5);
    for (float& value : h) value = value > 0 ? value * value : 0;
    for (const Isa isa : supported_isas()) {
      ASSERT_TRUE(select_isa(name_of(isa)));
      const std::vector<float> together = product(w, many, serial);
      const std::vector<float> sums = neuron_sums(neurons, h, serial);
      for (std::size_t i = 0; i < 23; ++i) {
        const auto first = many.values.begin() + static_cast<std::ptrdiff_t>(i * 200);
        const InputRows one(std::vector<float>(first, first + 200));
        const std::vector<float> alone = product(w, one, serial);
        EXPECT_TRUE(std::ranges::equal(alone, std::span(together).subspan(i * 50, 50)));
        const std::vector<float> sum =
            neuron_sums(neurons, std::span(h).subspan(i * 300, 300), serial);
        EXPECT_TRUE(std::ranges::equal(sum, std::span(sums).subspan(i * 200, 200)));
      }
    }
  }
  ASSERT_TRUE(select_isa(""));
}

TEST(SameBits, Q8CodesAtTheirEnds) {
  SerialParallel serial;
  StoredMatrix w(Format::kQ8, Layout::kTiles, 16, 64, 5);
  // -128 is never written by the encoder, but a page may hold it.
  for (std::size_t i = 0; i < 512; ++i)
    w.bytes()[32 + i] = static_cast<std::byte>(i % 3 == 0 ? 0x81 : 0x80);
  std::vector<float> x(64, -3.0F);
  for (std::size_t i = 0; i < 64; i += 5) x[i] = 3.0F;
  for (const float sign : {1.0F, -1.0F}) {
    for (float& value : x) value *= sign;
    expect_same_bits([&] { return product(w, InputRows(x), serial); });
  }
  StoredMatrix rows(Format::kQ8, Layout::kRows, 256, 64, 5);
  for (std::size_t row = 0; row < 256; ++row) {
    for (std::size_t i = 0; i < 64; ++i) {
      rows.bytes()[row * 68 + i] = static_cast<std::byte>(i % 3 == 0 ? 0x81 : 0x80);
    }
  }
  for (const float sign : {1.0F, -1.0F}) {
    const std::vector<float> h(256, sign);
    expect_same_bits([&] { return neuron_sums(rows, h, serial); });
  }
}

// Any bytes are codes, zero points and finite scales of a packed format.
TEST(SameBits, PackedPagesOfAnyBytes) {
  std::mt19937 random(6);
  SerialParallel serial;
  for (const Format format : {Format::kQ6, Format::kQ5, Format::kQ4}) {
    for (const float end : {3.0F, -3.0F}) {
      StoredMatrix tiles(format, Layout::kTiles, 32, 96, 5);
      StoredMatrix rows(format, Layout::kRows, 9, 96, 5);
      const auto fill = [&](MutableByteView bytes) {
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        std::ranges::fill(bytes.first(bytes.size() / 4), std::byte{0xFF});
      };
      fill(tiles.bytes());
      fill(rows.bytes());
      const std::vector<float> x(96, end);  // codes of 127 at one end throughout
      const std::vector<float> h(9, end);
      expect_same_bits([&] {
        std::vector<float> y = product(tiles, InputRows(x), serial);
        const std::vector<float> sums = neuron_sums(rows, h, serial);
        y.insert(y.end(), sums.begin(), sums.end());
        return y;
      });
    }
  }
}

TEST(SameBits, NeuronsOfEveryFormatAndOddShape) {
  SerialParallel serial;
  std::mt19937 shapes(2);
  for (int round = 0; round < rounds(); ++round) {
    const auto rows = static_cast<std::uint32_t>(1 + shapes() % (round % 4 == 0 ? 600 : 60));
    const auto cols = static_cast<std::uint32_t>(1 + shapes() % (round % 4 == 1 ? 2500 : 400));
    std::vector<float> h = random_floats(rows, shapes());
    const bool signs = round % 3 == 0;  // of RWKV-6's mixes
    for (float& value : h) value = signs ? value : value > 0 ? value * value : 0;
    for (const Format format : kFormats) {
      SCOPED_TRACE(testing::Message() << name_of(format) << " " << rows << " x " << cols);
      const StoredMatrix w(format, Layout::kRows, rows, cols, shapes(), 9);
      expect_same_bits([&] { return neuron_sums(w, h, serial); });
    }
  }
}

TEST(SameBits, NeuronsWithValuesThatAreNoNumbers) {
  SerialParallel serial;
  for (const float odd : {std::numeric_limits<float>::infinity(), 1e-44F, 3e38F}) {
    for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4}) {
      const StoredMatrix w(format, Layout::kRows, 20, 96, 7);
      std::vector<float> h = random_floats(20, 8);
      h[3] = odd;
      expect_same_bits([&] {
        std::vector<float> y = neuron_sums(w, h, serial);
        for (float& value : y) value = std::isnan(value) ? 1234.0F : value;  // signs may differ
        return y;
      });
    }
  }
}

TEST(SameBits, QuantizedInputs) {
  std::vector<float> x = random_floats(400, 7, 2);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[40] = std::numeric_limits<float>::infinity();
  for (std::size_t i = 96; i < 128; ++i) x[i] = 0;
  for (std::size_t i = 128; i < 160; ++i) x[i] *= 1e-39F;
  for (std::size_t i = 160; i < 192; ++i) x[i] = 0.5F * static_cast<float>(i % 7) - 1;  // ties
  expect_same_bits([&] {
    const InputRows quantized(x);
    std::vector<float> all = quantized.scales;
    for (const std::int8_t code : quantized.codes) all.push_back(code);
    for (const std::int32_t sum : quantized.sums) all.push_back(static_cast<float>(sum));
    return all;
  });
}

TEST(SameBits, StateUpdates) {
  for (const std::uint32_t size : {16U, 48U, 64U, 128U, 20U}) {
    const std::vector<float> in = random_floats(std::size_t{6} * size, size);
    const std::vector<float> before = random_floats(std::size_t{size} * size, size + 1);
    expect_same_bits([&] {
      std::vector<float> state = before;
      std::vector<float> y(size);
      const WkvHead head = {.state = state.data(),
                            .r = &in[0],
                            .w = &in[size],
                            .k = &in[2 * size],
                            .v = &in[3 * size],
                            .kk = &in[4 * size],
                            .b = &in[5 * size],
                            .y = y.data(),
                            .size = size};
      wkv(head);
      wkv(head);
      y.insert(y.end(), state.begin(), state.end());
      return y;
    });
  }
}

TEST(SameBits, ElementwiseFunctionsAndNorms) {
  std::vector<float> x = random_floats(1003, 11, 4);
  const float ends[] = {0.0F,
                        -0.0F,
                        88.72F,
                        88.74F,
                        -87.4F,
                        -103.9F,
                        -104.1F,
                        1e-30F,
                        0.625F,
                        1e30F,
                        -1e30F,
                        0.624F,
                        std::numeric_limits<float>::infinity(),
                        -1e-38F,
                        200.0F,
                        -200.0F};
  std::ranges::copy(ends, x.begin());
  using Function = void (*)(std::span<float>);
  for (const Function function :
       {tanh_all, sigmoid_all, silu_all, relu_squared_all, decay_all, exp_decay_all}) {
    expect_same_bits([&] {
      std::vector<float> y = x;
      function(y);
      return y;
    });
  }
  const std::vector<float> weight = random_floats(1003, 12);
  const std::vector<float> bias = random_floats(1003, 13);
  const std::vector<float> in = random_floats(1003, 14);
  for (const std::size_t size : {1UL, 15UL, 16UL, 64UL, 100UL, 1003UL}) {
    const auto part = [&](const std::vector<float>& all) { return std::span(all).first(size); };
    expect_same_bits([&] {
      std::vector<float> y(size);
      layer_norm(part(in), {part(weight), part(bias), 1e-5F}, y);
      std::vector<float> mixed(size);
      shift_mix(part(in), part(weight), part(bias), mixed);
      y.insert(y.end(), mixed.begin(), mixed.end());
      return y;
    });
  }
}

TEST(SameBits, EveryFiniteHalfWidensAlike) {
  SerialParallel serial;
  for (const Format format : {Format::kBf16, Format::kF16}) {
    std::vector<test::CacheLine> lines(65536 * 2 / 64);
    const MutableByteView bytes = std::as_writable_bytes(std::span(lines));
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const bool finite =
          format == Format::kF16 ? (bits & 0x7C00U) != 0x7C00U : (bits & 0x7F80U) != 0x7F80U;
      store_le(bytes, std::size_t{bits} * 2, static_cast<std::uint16_t>(finite ? bits : 0));
    }
    const RowBlock block = {bytes.data(), 0, 1};
    const MatrixView w = {format, Layout::kRows, 1, 65536, std::span(&block, 1)};
    expect_same_bits([&] {
      const float h = 1;
      std::vector<float> y(65536);
      neuron_matmul({{w, {}}, &h, y.data(), 1}, serial);
      return y;
    });
  }
}

}  // namespace
}  // namespace skein
