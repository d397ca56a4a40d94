#include "common/pack/pack.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

void expect_round_trip(const std::vector<float>& values) {
  const Buffer packed = pack_floats(values);
  const auto back = unpack_floats(packed, values.size());
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(bits_of(*back), bits_of(values));
}

TEST(Pack, EveryBitComesBack) {
  expect_round_trip({});
  expect_round_trip({1.5F});
  expect_round_trip(test::random_floats(100'003, 1));
  std::mt19937 source(2);
  std::vector<float> patterns(50'000);
  for (float& value : patterns) value = std::bit_cast<float>(static_cast<std::uint32_t>(source()));
  expect_round_trip(patterns);
}

TEST(Pack, NanPayloadsInfinitiesDenormalsAndMinusZeroComeBack) {
  std::vector<float> odd;
  for (const std::uint32_t bits : {0x7fc00000U, 0x7f800001U, 0xffc12345U, 0x7f800000U, 0xff800000U,
                                   0x80000000U, 0U, 1U, 0x80000001U, 0x7f7fffffU}) {
    odd.push_back(std::bit_cast<float>(bits));
  }
  expect_round_trip(odd);
}

TEST(Pack, IsDeterministicAndSmallerThanTheFloatsForRealUpdates) {
  const auto updates = test::random_floats(200'000, 3, 1e-4F);
  const Buffer packed = pack_floats(updates);
  EXPECT_EQ(packed, pack_floats(updates));
  EXPECT_LT(packed.size(), updates.size() * sizeof(float) * 88 / 100);
  EXPECT_LT(pack_floats(std::vector<float>(200'000, 0.0F)).size(), 500U);
}

TEST(Pack, MoreFloatsThanAllowedAreRefusedBeforeAnythingIsAllocated) {
  Buffer packed = pack_floats(std::vector<float>(1000, 1.0F));
  EXPECT_EQ(unpack_floats(packed, 999).error().code, Errc::kOutOfRoom);
  store_le<std::uint64_t>(packed, 8, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(unpack_floats(packed, 1000).error().code, Errc::kOutOfRoom);
  store_le<std::uint64_t>(packed, 8, 1001);  // within a generous limit, but not what is there
  EXPECT_EQ(unpack_floats(packed, 1'000'000).error().code, Errc::kCorrupt);
}

TEST(Pack, AnyTruncationIsRefused) {
  const Buffer packed = pack_floats(test::random_floats(100, 4));
  for (std::size_t bytes = 0; bytes < packed.size(); ++bytes) {
    EXPECT_FALSE(unpack_floats(ByteView(packed).first(bytes), 100)) << bytes;
  }
}

TEST(Pack, AnyFlippedBitIsRefused) {
  const auto values = test::random_floats(60, 5);
  const Buffer packed = pack_floats(values);
  for (std::size_t bit = 0; bit < packed.size() * 8; ++bit) {
    Buffer flipped = packed;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto back = unpack_floats(flipped, 1000);
    // A few bits of a zstd frame mean nothing; then the floats must still be the same ones.
    if (back) EXPECT_EQ(bits_of(*back), bits_of(values)) << bit;
  }
}

TEST(Pack, HostileBytesAreRefused) {
  std::mt19937 source(6);
  const Buffer real = pack_floats(test::random_floats(64, 7));
  for (int round = 0; round < 2000; ++round) {
    Buffer bytes(real.begin(), real.begin() + kPackHeaderBytes);
    const std::size_t keep = source() % (kPackHeaderBytes + 1);
    bytes.resize(keep);
    while (bytes.size() < 200) bytes.push_back(static_cast<std::byte>(source()));
    EXPECT_FALSE(unpack_floats(bytes, 1 << 16));
  }
}

TEST(Pack, ALaterVersionIsNamed) {
  Buffer packed = pack_floats({});
  packed[4] = std::byte{2};
  EXPECT_EQ(unpack_floats(packed, 0).error().code, Errc::kUnsupported);
}

}  // namespace
}  // namespace skein
