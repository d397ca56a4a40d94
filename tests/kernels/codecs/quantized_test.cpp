#include "kernels/codecs/quantized.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/codecs/internal/code_planes.h"
#include "kernels/isa/isa.h"

namespace skein {
namespace {

constexpr Format kFormats[] = {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4};
constexpr Layout kLayouts[] = {Layout::kRows, Layout::kTiles};

// On every instruction set; the size of what was coded.
std::size_t expect_back(const QuantizedShape& shape, ByteView stored) {
  QuantizedMemory memory;
  Buffer coded;
  encode_quantized(shape, stored, memory, coded);
  for (const Isa isa : supported_isas()) {
    EXPECT_TRUE(select_isa(name_of(isa)));
    Buffer out(stored.size());
    const auto decoded = decode_quantized(shape, coded, memory, out);
    EXPECT_TRUE(decoded) << to_string(decoded.error());
    EXPECT_TRUE(std::ranges::equal(out, stored))
        << name_of(shape.format) << " " << name_of(shape.layout) << " " << shape.rows << " x "
        << shape.cols << " " << name_of(isa);
  }
  EXPECT_TRUE(select_isa(""));
  return coded.size();
}

Buffer random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Buffer bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Buffer normal_matrix(const QuantizedShape& shape,
                     float (*scale)(std::uint32_t row, std::uint32_t col)) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values(std::size_t{shape.rows} * shape.cols);
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    values[i] = normal(random) * scale(i / shape.cols, i % shape.cols);
  }
  Buffer stored(shape.bytes());
  encode(shape.format, shape.layout, shape.rows, shape.cols, values, stored);
  return stored;
}

// Codes of one step for the whole matrix: what an entropy-constrained quantizer makes.
Buffer one_step_matrix(const QuantizedShape& shape, double deviation, bool columns_differ) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  const int middle = 1 << (bits_of_code(shape.format) - 1);
  std::vector<std::uint8_t> codes(std::size_t{shape.rows} * shape.cols);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t column = i % shape.cols;
    const double scale = columns_differ ? std::exp2(static_cast<double>(column % 16) / 4 - 2) : 1;
    const auto code = static_cast<int>(std::nearbyint(normal(random) * deviation * scale));
    codes[i] = static_cast<std::uint8_t>(std::clamp(middle + code, 0, 2 * middle - 1));
  }
  const std::vector<std::uint16_t> heads(codes.size() / kGroup, packed_head(0.01F, 64));
  Buffer stored(shape.bytes());
  place_packed(shape.format, shape.layout, shape.rows, shape.cols, codes, heads, stored);
  return stored;
}

TEST(Quantized, AnyBytesOfAnyShapeComeBack) {
  for (const Format format : kFormats) {
    for (const Layout layout : kLayouts) {
      for (const std::uint32_t rows : {1U, 2U, 15U, 16U, 17U, 33U}) {
        for (const std::uint32_t cols : {1U, 31U, 32U, 33U, 70U, 256U}) {
          const QuantizedShape shape = {format, layout, rows, cols};
          const Buffer bytes = random_bytes(shape.bytes(), rows * 1000 + cols);
          EXPECT_LE(expect_back(shape, bytes), bytes.size() + bytes.size() / 8 + 400);
        }
      }
    }
  }
}

TEST(Quantized, TheLargestMatricesComeBack) {
  for (const Format format : kFormats) {
    // One row of 256 KiB has more codes than one coded page may have.
    const auto groups = static_cast<std::uint32_t>(kMaxQuantizedBytes /
                                                   stored_bytes(format, Layout::kRows, 1, kGroup));
    const QuantizedShape row = {format, Layout::kRows, 1, groups * kGroup};
    expect_back(row, random_bytes(row.bytes(), 1));
    const QuantizedShape tile = {format, Layout::kTiles, 3, groups / kTileRows * kGroup};
    expect_back(tile, random_bytes(tile.bytes(), 2));
    const QuantizedShape column = {format, Layout::kRows, groups, 1};
    expect_back(column, random_bytes(column.bytes(), 3));
  }
}

TEST(Quantized, MatricesOfOneByteCostNextToNothing) {
  for (const Format format : kFormats) {
    for (const Layout layout : kLayouts) {
      const QuantizedShape shape = {format, layout, 32, 512};
      EXPECT_LE(expect_back(shape, Buffer(shape.bytes())), 52U);
      EXPECT_LE(expect_back(shape, Buffer(shape.bytes(), std::byte{0xFF})), 52U);
    }
  }
}

TEST(Quantized, CodesAndHeadsAreThoseOfTheFormat) {
  std::mt19937 random(5);
  for (const Format format : {Format::kQ6, Format::kQ5, Format::kQ4}) {
    for (const Layout layout : kLayouts) {
      const QuantizedShape shape = {format, layout, 21, 96};
      std::vector<std::uint8_t> codes(std::size_t{shape.rows} * shape.cols);
      for (std::uint8_t& code : codes) {
        code = static_cast<std::uint8_t>(random() % (1U << bits_of_code(format)));
      }
      std::vector<std::uint16_t> heads(codes.size() / kGroup);
      for (std::uint16_t& head : heads) head = static_cast<std::uint16_t>(random());
      Buffer stored(shape.bytes());
      place_packed(format, layout, shape.rows, shape.cols, codes, heads, stored);
      std::vector<std::uint8_t> split(shape.codes());
      std::vector<std::uint16_t> split_heads(shape.heads());
      split_codes(shape, stored, split, split_heads);
      for (std::uint32_t row = 0; row < shape.rows; ++row) {
        for (std::uint32_t col = 0; col < shape.cols; ++col) {
          const bool tiles = layout == Layout::kTiles;
          const std::size_t group = row / 16 * shape.groups() + col / 32;
          const std::size_t at = tiles ? group * 512 + col % 32 / 4 * 64 + row % 16 * 4 + col % 4
                                       : std::size_t{row} * shape.cols + col;
          const std::size_t head = tiles ? group * 16 + row % 16 : at / 32;
          ASSERT_EQ(split[at], codes[std::size_t{row} * shape.cols + col]);
          ASSERT_EQ(split_heads[head], heads[row * shape.groups() + col / 32]);
        }
      }
    }
  }
}

double bits_a_weight(const QuantizedShape& shape, ByteView stored) {
  return 8.0 * static_cast<double>(expect_back(shape, stored)) / static_cast<double>(shape.codes());
}

TEST(Quantized, OneStepForAllCostsTheEntropyOfTheCodesOnly) {
  for (const Layout layout : kLayouts) {
    const QuantizedShape shape = {Format::kQ4, layout, 224, 1024};
    // Deviation 2 of a normal distribution has 3.05 bits.
    EXPECT_LT(bits_a_weight(shape, one_step_matrix(shape, 2, false)), 3.07);
  }
}

TEST(Quantized, ColumnsOfTheirOwnSpreadAreToldApart) {
  for (const Layout layout : kLayouts) {
    const QuantizedShape shape = {Format::kQ5, layout, 192, 1024};
    const double entropy = [] {  // of sixteen spreads, the mean
      double bits = 0;
      for (int i = 0; i < 16; ++i) bits += std::log2(2 * std::exp2(i / 4.0 - 2) * 4.133) / 16;
      return bits;
    }();
    EXPECT_LT(bits_a_weight(shape, one_step_matrix(shape, 2, true)), entropy + 0.1);
  }
}

TEST(Quantized, GridsFittedToEachGroupShrinkToo) {
  for (const Layout layout : kLayouts) {
    const QuantizedShape shape = {Format::kQ4, layout, 224, 1024};
    const auto scale = [](std::uint32_t row, std::uint32_t) {
      return 0.01F * static_cast<float>(1 + row % 3);
    };
    EXPECT_LT(bits_a_weight(shape, normal_matrix(shape, scale)), 4.25);  // of 4.5
  }
}

TEST(Quantized, RowsOfTheirOwnScaleCostLittle) {
  const QuantizedShape shape = {Format::kQ4, Layout::kTiles, 224, 1024};
  Buffer stored = one_step_matrix(shape, 2, false);
  std::vector<std::uint8_t> codes(shape.codes());
  std::vector<std::uint16_t> heads(shape.heads());
  split_codes(shape, stored, codes, heads);
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const std::size_t row = i / 16 / shape.groups() * 16 + i % 16;
    heads[i] = packed_head(0.001F * static_cast<float>(row + 1), 64);
  }
  join_codes(shape, codes, heads, stored);
  EXPECT_LT(bits_a_weight(shape, stored), 3.10);
}

TEST(Quantized, DamageIsFoundOrHarmless) {
  const QuantizedShape shape = {Format::kQ5, Layout::kTiles, 33, 100};
  const Buffer stored = normal_matrix(shape, [](std::uint32_t, std::uint32_t) { return 0.1F; });
  QuantizedMemory memory;
  Buffer coded;
  encode_quantized(shape, stored, memory, coded);
  Buffer out(stored.size());
  for (std::size_t size = 0; size < coded.size(); ++size) {
    EXPECT_FALSE(decode_quantized(shape, ByteView(coded).first(size), memory, out));
  }
  for (std::size_t at = 0; at < coded.size(); ++at) {
    Buffer damaged = coded;
    damaged[at] ^= std::byte{0x10};
    const auto decoded = decode_quantized(shape, damaged, memory, out);
    if (decoded) EXPECT_NE(out, stored) << at;  // the page's hash finds it
  }
  coded.push_back({});
  EXPECT_FALSE(decode_quantized(shape, coded, memory, out));
}

}  // namespace
}  // namespace skein
