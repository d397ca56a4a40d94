#include "kernels/ops/format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8};
constexpr Layout kLayouts[] = {Layout::kRows, Layout::kTiles};

TEST(Format, EveryHalfSurvivesWideningAndNarrowing) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    EXPECT_EQ(narrow_bf16(widen_bf16(half)), half);
    EXPECT_EQ(narrow_f16(widen_f16(half)), half);
  }
}

TEST(Format, HalvesWidenToTheirValue) {
  EXPECT_EQ(widen_f16(0x3C00), 1.0F);
  EXPECT_EQ(widen_f16(0xC000), -2.0F);
  EXPECT_EQ(widen_f16(0x7BFF), 65504.0F);
  EXPECT_EQ(widen_f16(0x0001), 0x1p-24F);
  EXPECT_EQ(widen_f16(0x03FF), 1023 * 0x1p-24F);
  EXPECT_TRUE(std::isinf(widen_f16(0x7C00)));
  EXPECT_EQ(widen_bf16(0x3F80), 1.0F);
}

// The nearest half by search over all of them; ties to the even one.
std::uint16_t nearest_f16(float value) {
  std::uint16_t best = 0;
  double distance = std::numeric_limits<double>::infinity();
  for (std::uint16_t bits = 0; bits < 0x7C00; ++bits) {
    const double gap = std::abs(double{std::fabs(value)} - double{widen_f16(bits)});
    if (gap < distance || (gap == distance && bits % 2 == 0)) {
      best = bits;
      distance = gap;
    }
  }
  return static_cast<std::uint16_t>(best | (std::signbit(value) ? 0x8000U : 0U));
}

TEST(Format, NarrowsToTheNearestHalfTiesToEven) {
  for (const float spread : {1e-7F, 1e-5F, 1e-3F, 1.0F, 1e4F}) {
    for (const float value : test::random_floats(20, 7, spread)) {
      if (std::fabs(value) < 65504) EXPECT_EQ(narrow_f16(value), nearest_f16(value)) << value;
    }
  }
  EXPECT_EQ(narrow_f16(1 + 0x1p-11F), 0x3C00);      // tie: even
  EXPECT_EQ(narrow_f16(1 + 3 * 0x1p-11F), 0x3C02);  // tie: even
  EXPECT_EQ(narrow_f16(65519.99F), 0x7BFF);
  EXPECT_EQ(narrow_f16(65520.0F), 0x7C00);
  EXPECT_EQ(narrow_f16(0x1p-25F), 0x0000);
  EXPECT_EQ(narrow_f16(3 * 0x1p-25F), 0x0002);
  EXPECT_EQ(narrow_bf16(1 + 0x1p-8F), 0x3F80);
  EXPECT_EQ(narrow_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_TRUE(std::isnan(widen_f16(narrow_f16(std::bit_cast<float>(0x7F800001U)))));
  EXPECT_TRUE(std::isnan(widen_bf16(narrow_bf16(std::bit_cast<float>(0xFF800001U)))));
}

TEST(Format, PlainFormatsKeepTheirBitsThroughBothLayouts) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16}) {
    for (const Layout layout : kLayouts) {
      std::vector<float> values = test::random_floats(37 * 21, 11);
      for (float& value : values) {
        if (format == Format::kBf16) value = widen_bf16(narrow_bf16(value));
        if (format == Format::kF16) value = widen_f16(narrow_f16(value));
      }
      values[5] = -0.0F;
      Buffer stored(stored_bytes(format, layout, 37, 21), std::byte{0xEE});
      encode(format, layout, 37, 21, values, stored);
      std::vector<float> back(values.size());
      decode(format, layout, 37, 21, stored, back);
      EXPECT_EQ(std::memcmp(values.data(), back.data(), values.size() * 4), 0)
          << name_of(format) << " " << name_of(layout);
    }
  }
}

TEST(Format, TilesInterleaveSixteenRowsAndPadWithZeros) {
  std::vector<float> values(18 * 3);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  Buffer stored(stored_bytes(Format::kF32, Layout::kTiles, 18, 3), std::byte{0xEE});
  ASSERT_EQ(stored.size(), 32U * 3 * 4);
  encode(Format::kF32, Layout::kTiles, 18, 3, values, stored);
  EXPECT_EQ(load_le<float>(stored, 1 * 64 + 2 * 4), values[2 * 3 + 1]);            // row 2, col 1
  EXPECT_EQ(load_le<float>(stored, 3 * 64 + 2 * 64 + 1 * 4), values[17 * 3 + 2]);  // row 17, col 2
  EXPECT_EQ(load_le<float>(stored, 3 * 64 + 2 * 4), 0.0F);  // row 18: padding
}

TEST(Format, RawElementsGoToTilesAndBack) {
  for (const std::uint32_t element : {2U, 4U}) {
    Buffer raw(std::size_t{19} * 5 * element);
    for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::byte>(i * 37);
    Buffer tiles(stored_bytes(element == 4 ? Format::kF32 : Format::kBf16, Layout::kTiles, 19, 5));
    tile_elements(element, 19, 5, raw, tiles);
    Buffer back(raw.size());
    untile_elements(element, 19, 5, tiles, back);
    EXPECT_EQ(back, raw);
  }
}

TEST(Format, RawTilesAreWhatEncodeMakes) {
  const std::vector<float> values = test::random_floats(19 * 5, 3);
  Buffer encoded(stored_bytes(Format::kF32, Layout::kTiles, 19, 5));
  encode(Format::kF32, Layout::kTiles, 19, 5, values, encoded);
  Buffer tiled(encoded.size(), std::byte{0xEE});
  tile_elements(4, 19, 5, std::as_bytes(std::span(values)), tiled);
  EXPECT_EQ(tiled, encoded);
}

TEST(Format, Q8StaysWithinHalfAStepAndIsTheSameInBothLayouts) {
  const std::uint32_t rows = 21;
  const std::uint32_t cols = 75;
  const std::vector<float> values = test::random_floats(std::size_t{rows} * cols, 5);
  std::vector<std::vector<float>> backs;
  for (const Layout layout : kLayouts) {
    Buffer stored(stored_bytes(Format::kQ8, layout, rows, cols));
    encode(Format::kQ8, layout, rows, cols, values, stored);
    backs.emplace_back(values.size());
    decode(Format::kQ8, layout, rows, cols, stored, backs.back());
  }
  EXPECT_EQ(backs[0], backs[1]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t first = i / cols * cols + i % cols / kGroup * kGroup;
    const std::size_t last = std::min(first + kGroup, (i / cols + 1) * cols);
    float largest = 0;
    for (std::size_t j = first; j < last; ++j) largest = std::max(largest, std::fabs(values[j]));
    EXPECT_NEAR(backs[0][i], values[i], largest / 127 * 0.56F) << i;
  }
}

TEST(Format, Q8TakesZerosHugeAndNonFiniteWeights) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> values(96, 0.0F);
  values[32] = 3e38F;
  values[33] = -inf;
  values[64] = std::numeric_limits<float>::quiet_NaN();
  values[65] = 127;
  Buffer stored(stored_bytes(Format::kQ8, Layout::kRows, 1, 96));
  encode(Format::kQ8, Layout::kRows, 1, 96, values, stored);
  std::vector<float> back(96);
  decode(Format::kQ8, Layout::kRows, 1, 96, stored, back);
  EXPECT_EQ(back[0], 0);
  EXPECT_EQ(back[32], 127 * 65504.0F);
  EXPECT_EQ(back[33], -127 * 65504.0F);
  EXPECT_EQ(back[64], 0);
  EXPECT_EQ(back[65], 127);
}

TEST(Format, StoredBytesMatchTheLayoutsInTheHeader) {
  EXPECT_EQ(stored_bytes(Format::kQ8, Layout::kRows, 3, 33), 3U * (64 + 4));
  EXPECT_EQ(stored_bytes(Format::kQ8, Layout::kTiles, 17, 33), 32U * (64 + 4));
  EXPECT_EQ(stored_bytes(Format::kBf16, Layout::kRows, 3, 33), 3U * 66);
  EXPECT_EQ(stored_bytes(Format::kF32, Layout::kTiles, 1, 2), 16U * 8);
  for (const Format format : kFormats) EXPECT_NE(name_of(format), "unknown");
}

}  // namespace
}  // namespace skein
