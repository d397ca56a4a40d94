#include "kernels/ops/format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};
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

constexpr Format kPacked[] = {Format::kQ6, Format::kQ5, Format::kQ4};

TEST(Format, PackedFormatsStayNearAndAreTheSameInBothLayouts) {
  const std::uint32_t rows = 21;
  const std::uint32_t cols = 75;
  const std::vector<float> values = test::random_floats(std::size_t{rows} * cols, 5, 0.02F);
  for (const auto& [format, most] :
       {std::pair{Format::kQ6, 0.022}, {Format::kQ5, 0.043}, {Format::kQ4, 0.085}}) {
    std::vector<std::vector<float>> backs;
    for (const Layout layout : kLayouts) {
      Buffer stored(stored_bytes(format, layout, rows, cols), std::byte{0xEE});
      encode(format, layout, rows, cols, values, stored);
      backs.emplace_back(values.size());
      decode(format, layout, rows, cols, stored, backs.back());
    }
    EXPECT_EQ(backs[0], backs[1]);
    double missed = 0;
    double norm = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      missed += std::pow(double{backs[0][i]} - double{values[i]}, 2);
      norm += std::pow(double{values[i]}, 2);
    }
    EXPECT_LT(std::sqrt(missed / norm), most) << name_of(format);
  }
}

TEST(Format, PackedFormatsKeepAGridThatTheyCanHold) {
  for (const Format format : kPacked) {
    const int levels = format == Format::kQ6 ? 64 : format == Format::kQ5 ? 32 : 16;
    for (const float scale : {0.5F, 0x1p-20F, 0x1.8p-9F, 100.0F}) {
      std::vector<float> values(64);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const int code = static_cast<int>(i * 5) % levels;  // the ends come in each group
        values[i] = static_cast<float>((i % 32 == 0 ? levels - 1 : code) - levels / 3) * scale;
      }
      Buffer stored(stored_bytes(format, Layout::kRows, 1, 64));
      encode(format, Layout::kRows, 1, 64, values, stored);
      std::vector<float> back(64);
      decode(format, Layout::kRows, 1, 64, stored, back);
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(back[i], values[i], 0.51F * scale) << name_of(format) << " " << i;
      }
    }
  }
}

// The layout in the header, byte by byte: 33 columns are two groups.
TEST(Format, PackedBitsLieWhereTheHeaderSays) {
  std::vector<float> values(17 * 33);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 33) - 8;
  Buffer rows(stored_bytes(Format::kQ5, Layout::kRows, 17, 33));
  Buffer tiles(stored_bytes(Format::kQ5, Layout::kTiles, 17, 33));
  encode(Format::kQ5, Layout::kRows, 17, 33, values, rows);
  encode(Format::kQ5, Layout::kTiles, 17, 33, values, tiles);
  const std::size_t row = 3;
  const std::size_t row_at = row * 2 * 22;  // two groups: nibbles, words, heads
  const auto head = load_le<std::uint16_t>(rows, row_at + 32 + 8);
  EXPECT_EQ(load_le<std::uint16_t>(tiles, row * 2), head);
  const auto word = load_le<std::uint32_t>(rows, row_at + 32);
  const auto byte_of = [](const Buffer& bytes, std::size_t at) {
    return std::to_integer<unsigned>(bytes[at]);
  };
  for (std::size_t col = 0; col < 32; ++col) {
    const unsigned low = byte_of(rows, row_at + col % 16) >> (col < 16 ? 0 : 4) & 15U;
    const unsigned code = low | (word >> col & 1U) << 4;
    const std::size_t quad = col / 4;
    const std::size_t in_plane = row * 4 + col % 4;
    const unsigned pair = byte_of(tiles, 32 + quad / 2 * 64 + in_plane);
    const unsigned plane = byte_of(tiles, 32 + 256 + in_plane);
    EXPECT_EQ((pair >> (quad % 2 == 0 ? 0 : 4) & 15U) | (plane >> quad & 1U) << 4, code) << col;
    const float scale = std::ldexp(1 + static_cast<float>(head >> 7 & 15) / 16, (head >> 11) - 24);
    const float value = static_cast<float>(static_cast<int>(code) * 4 - (head & 127)) * scale;
    EXPECT_NEAR(value, values[row * 33 + col], 0.6F) << col;
  }
}

TEST(Format, PackedFormatsTakeZerosHugeTinyAndNonFiniteWeights) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const Format format : kPacked) {
    std::vector<float> values(160, 0.0F);
    values[32] = 3e38F;
    values[33] = -inf;
    values[64] = std::numeric_limits<float>::quiet_NaN();
    values[65] = 127;
    values[96] = 1e-40F;
    for (std::size_t i = 128; i < 160; ++i) values[i] = 3;
    Buffer stored(stored_bytes(format, Layout::kRows, 1, 160));
    encode(format, Layout::kRows, 1, 160, values, stored);
    std::vector<float> back(160);
    decode(format, Layout::kRows, 1, 160, stored, back);
    EXPECT_EQ(back[0], 0);
    EXPECT_GT(back[32], 10000);
    EXPECT_LT(back[33], -10000);
    EXPECT_NEAR(back[64], 0, 127.0F / 32);
    EXPECT_NEAR(back[65], 127, 127.0F / 32);
    EXPECT_NEAR(back[96], 0, 1e-5F);
    EXPECT_NEAR(back[140], 3, 0.1F);
    for (const float value : back) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(Format, StoredBytesMatchTheLayoutsInTheHeader) {
  EXPECT_EQ(stored_bytes(Format::kQ6, Layout::kRows, 3, 33), 3U * 2 * 26);  // 6.5 bits a weight
  EXPECT_EQ(stored_bytes(Format::kQ5, Layout::kTiles, 17, 33), 32U * 2 * 22);
  EXPECT_EQ(stored_bytes(Format::kQ4, Layout::kRows, 1, 64), 64U * 9 / 16);
  EXPECT_EQ(stored_bytes(Format::kQ8, Layout::kRows, 3, 33), 3U * (64 + 4));
  EXPECT_EQ(stored_bytes(Format::kQ8, Layout::kTiles, 17, 33), 32U * (64 + 4));
  EXPECT_EQ(stored_bytes(Format::kBf16, Layout::kRows, 3, 33), 3U * 66);
  EXPECT_EQ(stored_bytes(Format::kF32, Layout::kTiles, 1, 2), 16U * 8);
  for (const Format format : kFormats) EXPECT_NE(name_of(format), "unknown");
}

TEST(Format, CodesAndScalesThatExistAreQ8AsTheyAre) {
  constexpr std::uint32_t kRows = 19;  // no whole number of tiles
  constexpr std::uint32_t kCols = 96;
  std::mt19937 random(8);
  std::vector<std::int8_t> codes(std::size_t{kRows} * kCols);
  for (std::int8_t& code : codes) code = static_cast<std::int8_t>(random() % 255 - 127);
  std::vector<std::uint16_t> scales(codes.size() / kGroup);
  for (std::uint16_t& scale : scales) scale = static_cast<std::uint16_t>(random() % 0x7C00);
  for (const Layout layout : {Layout::kRows, Layout::kTiles}) {
    Buffer stored(stored_bytes(Format::kQ8, layout, kRows, kCols));
    place_q8(layout, kRows, kCols, codes, scales, stored);
    std::vector<float> values(codes.size());
    decode(Format::kQ8, layout, kRows, kCols, stored, values);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      ASSERT_EQ(values[i], static_cast<float>(codes[i]) * widen_f16(scales[i / kGroup])) << i;
    }
  }
}

// A group's grid, fitted alone, is the one that encode() gives it, and its codes mean the same.
TEST(FitGrid, IsEncodesOwnWhereAllWeightsAreAlike) {
  const std::vector<float> alike(kGroup, 1.0F);
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4}) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      std::vector<float> weights = test::random_floats(kGroup, seed, 0.1F);
      if (seed == 7) weights.assign(kGroup, 0.0F);
      if (seed == 8) weights.assign(kGroup, -3.0F);
      Buffer stored(stored_bytes(format, Layout::kRows, 1, kGroup));
      encode(format, Layout::kRows, 1, kGroup, weights, stored);
      std::vector<float> decoded(kGroup);
      decode(format, Layout::kRows, 1, kGroup, stored, decoded);
      const GroupGrid grid = fit_grid(format, weights, alike);
      EXPECT_EQ(grid.head, load_le<std::uint16_t>(stored, stored.size() - 2));
      for (std::size_t i = 0; i < kGroup; ++i) {
        EXPECT_EQ(grid.weight_of(grid.code_of(weights[i])), decoded[i]) << name_of(format);
      }
    }
  }
}

TEST(FitGrid, ServesTheImportantWeightsBetter) {
  double plain = 0;
  double weighed = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> weights = test::random_floats(kGroup, seed, 0.1F);
    std::vector<float> importance(kGroup, 0.01F);
    for (std::size_t i = 0; i < kGroup; i += 4) importance[i] = 1;
    const auto error = [&](const GroupGrid& grid) {
      double sum = 0;
      for (std::size_t i = 0; i < kGroup; ++i) {
        const double miss = grid.weight_of(grid.code_of(weights[i])) - weights[i];
        sum += miss * miss * static_cast<double>(importance[i]);
      }
      return sum;
    };
    plain += error(fit_grid(Format::kQ4, weights, std::vector<float>(kGroup, 1.0F)));
    weighed += error(fit_grid(Format::kQ4, weights, importance));
  }
  EXPECT_LT(weighed, 0.9 * plain);
}

}  // namespace
}  // namespace skein
