// Every instruction set of this CPU against the scalar reference, bit for bit, on odd shapes.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "kernels/isa/kernel_table.h"
#include "kernels/ops/wkv.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::QuantizedVector;
using test::random_floats;
using test::StoredMatrix;

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};

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

TEST(SameBits, MatvecOfEveryFormatAndOddShape) {
  SerialParallel serial;
  std::mt19937 shapes(1);
  for (int round = 0; round < 40; ++round) {
    const auto rows = static_cast<std::uint32_t>(1 + shapes() % 90);
    const auto cols = static_cast<std::uint32_t>(1 + shapes() % 700);
    const std::vector<float> x = random_floats(cols, 100 + static_cast<std::uint64_t>(round));
    for (const Format format : kFormats) {
      SCOPED_TRACE(testing::Message() << name_of(format) << " " << rows << " x " << cols);
      const StoredMatrix w(format, Layout::kTiles, rows, cols, shapes(), 32);
      expect_same_bits([&] {
        const QuantizedVector quantized(x);
        std::vector<float> y(rows);
        matvec(w.view(), quantized.view(), y, serial);
        return y;
      });
    }
  }
}

TEST(SameBits, MatvecOfMoreColumnsThanOneRunOfGroups) {
  SerialParallel serial;
  const std::uint32_t cols = 512 * 32 * 2 + 77;
  const std::vector<float> x = random_floats(cols, 4);
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ4}) {
    const StoredMatrix w(format, Layout::kTiles, 18, cols, 3);
    expect_same_bits([&] {
      const QuantizedVector quantized(x);
      std::vector<float> y(18);
      matvec(w.view(), quantized.view(), y, serial);
      return y;
    });
  }
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
    expect_same_bits([&] {
      const QuantizedVector quantized(x);
      std::vector<float> y(16);
      matvec(w.view(), quantized.view(), y, serial);
      return y;
    });
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
      std::vector<float> x(96, end);  // codes of 127 at one end throughout
      const std::vector<float> h(9, end);
      expect_same_bits([&] {
        const QuantizedVector quantized(x);
        std::vector<float> y(32);
        matvec(tiles.view(), quantized.view(), y, serial);
        std::vector<std::uint32_t> active(9);
        std::vector<float> sums(96);
        sparse_accumulate(rows.view(), h, active, sums, serial);
        y.insert(y.end(), sums.begin(), sums.end());
        return y;
      });
    }
  }
}

TEST(SameBits, SparseAccumulateOfEveryFormatAndOddShape) {
  SerialParallel serial;
  std::mt19937 shapes(2);
  for (int round = 0; round < 30; ++round) {
    const auto rows = static_cast<std::uint32_t>(1 + shapes() % 60);
    const auto cols = static_cast<std::uint32_t>(1 + shapes() % 400);
    std::vector<float> h = random_floats(rows, shapes());
    for (float& value : h) value = value > 0 ? value * value : 0;
    for (const Format format : kFormats) {
      SCOPED_TRACE(testing::Message() << name_of(format) << " " << rows << " x " << cols);
      const StoredMatrix w(format, Layout::kRows, rows, cols, shapes(), 9);
      expect_same_bits([&] {
        std::vector<std::uint32_t> active(rows);
        std::vector<float> y(cols);
        sparse_accumulate(w.view(), h, active, y, serial);
        return y;
      });
    }
  }
}

TEST(SameBits, QuantizedActivations) {
  std::vector<float> x = random_floats(400, 7, 2);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[40] = std::numeric_limits<float>::infinity();
  for (std::size_t i = 96; i < 128; ++i) x[i] = 0;
  for (std::size_t i = 128; i < 160; ++i) x[i] *= 1e-39F;
  for (std::size_t i = 160; i < 192; ++i) x[i] = 0.5F * static_cast<float>(i % 7) - 1;  // ties
  expect_same_bits([&] {
    const QuantizedVector quantized(x);
    std::vector<float> all = quantized.scales;
    for (const std::int8_t code : quantized.codes) all.push_back(code);
    return all;
  });
}

TEST(SameBits, StateUpdates) {
  SerialParallel serial;
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
      wkv(std::span(&head, 1), serial);
      wkv(std::span(&head, 1), serial);
      y.insert(y.end(), state.begin(), state.end());
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
      const std::vector<float> h = {1.0F};
      std::vector<std::uint32_t> active(1);
      std::vector<float> y(65536);
      sparse_accumulate(w, h, active, y, serial);
      return y;
    });
  }
}

}  // namespace
}  // namespace skein
