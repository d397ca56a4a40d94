#include "common/checkpoint/blocks.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/golden_model.h"

namespace skein {
namespace {

constexpr Packing kAll[] = {Packing::kQ4_0, Packing::kQ4_1, Packing::kQ5_0, Packing::kQ5_1,
                            Packing::kQ8_0, Packing::kQ4K,  Packing::kQ5K,  Packing::kQ6K};

// tests/golden/blocks/<type>: blocks, then their elements as float32, from make_golden.py.
struct GoldenBlocks {
  explicit GoldenBlocks(Packing packing)
      : file(test::golden_file("blocks/" + std::string(name_of(packing)))) {
    const BlockSize size = block_size(packing);
    const std::size_t count = file.size() / (size.bytes + size.elements * sizeof(float));
    blocks = ByteView(file).first(count * size.bytes);
    values.resize(count * size.elements);
    std::memcpy(values.data(), file.data() + blocks.size(), values.size() * sizeof(float));
  }
  Buffer file;
  ByteView blocks;
  std::vector<float> values;
};

TEST(Blocks, RandomBlocksAreTheFloatsOfTheIndependentReader) {
  for (const Packing packing : kAll) {
    const GoldenBlocks golden(packing);
    ASSERT_EQ(golden.values.size(), 24 * block_size(packing).elements);
    std::vector<float> values(golden.values.size());
    unpack(packing, golden.blocks, 0, values);
    EXPECT_EQ(values, golden.values) << name_of(packing);
  }
}

TEST(Blocks, AnyRunOfElementsIsTheSamePieceOfTheWhole) {
  std::mt19937 random(3);
  for (const Packing packing : kAll) {
    const GoldenBlocks golden(packing);
    for (int round = 0; round < 200; ++round) {
      const std::size_t first = random() % golden.values.size();
      const std::size_t count = random() % (golden.values.size() - first + 1);
      std::vector<float> values(count);
      unpack(packing, golden.blocks, first, values);
      const auto begin = golden.values.begin() + static_cast<std::ptrdiff_t>(first);
      EXPECT_TRUE(std::equal(values.begin(), values.end(), begin))
          << name_of(packing) << " " << first << " " << count;
    }
  }
}

TEST(Blocks, CodesTimesTheScaleAreTheElements) {
  for (const Packing packing : kAll) {
    if (!has_codes(packing)) continue;
    const GoldenBlocks golden(packing);
    for (std::size_t block = 0; block < 24; ++block) {
      const CodeGroup group = read_codes(packing, golden.blocks, block);
      for (std::size_t i = 0; i < kGroup; ++i) {
        EXPECT_EQ(static_cast<float>(group.codes[i]) * widen_f16(group.scale),
                  golden.values[block * kGroup + i]);
      }
    }
  }
  EXPECT_FALSE(has_codes(Packing::kNone));
  EXPECT_FALSE(has_codes(Packing::kQ4_1));
  EXPECT_FALSE(has_codes(Packing::kQ6K));
}

TEST(Blocks, TheWholeRangeOfCodesIsRead) {
  Buffer block(34, std::byte{0x80});
  EXPECT_EQ(read_codes(Packing::kQ8_0, block, 0).codes[5], -128);
  block.assign(18, std::byte{0x0F});
  EXPECT_EQ(read_codes(Packing::kQ4_0, block, 0).codes[0], 7);
  EXPECT_EQ(read_codes(Packing::kQ4_0, block, 0).codes[16], -8);
  block.assign(22, std::byte{0});
  EXPECT_EQ(read_codes(Packing::kQ5_0, block, 0).codes[31], -16);
}

}  // namespace
}  // namespace skein
