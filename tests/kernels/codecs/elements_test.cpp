#include "kernels/codecs/elements.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "kernels/isa/isa.h"

namespace skein {
namespace {

constexpr Element kElements[] = {Element::kI8, Element::kBf16, Element::kF16, Element::kF32};

Buffer encoded(Element element, ByteView raw, ByteView base, CodecMemory& memory) {
  Buffer page(elements_room(raw.size()));
  page.resize(encode_elements(element, raw, base, memory, page));
  EXPECT_LE(page.size(), elements_bound(raw.size()));
  return page;
}

// On every instruction set; the size of the page.
std::size_t expect_back(Element element, ByteView raw, ByteView base = {}) {
  CodecMemory memory;
  const Buffer page = encoded(element, raw, base, memory);
  for (const Isa isa : supported_isas()) {
    EXPECT_TRUE(select_isa(name_of(isa)));
    Buffer out(raw.size());
    const auto result = decode_elements(element, page, base, memory, out);
    EXPECT_TRUE(result) << to_string(result.error());
    EXPECT_TRUE(std::ranges::equal(out, raw)) << name_of(isa);
  }
  EXPECT_TRUE(select_isa(""));
  return page.size();
}

Buffer random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Buffer bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Normal weights, each moved by `change` times their deviation.
Buffer bfloats(std::size_t count, double change) {
  std::mt19937 random(1);
  std::mt19937 other(2);
  std::normal_distribution<double> normal(0, 0.02);
  std::normal_distribution<double> moved(0, 0.02);
  Buffer bytes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(normal(random) + change * moved(other));
    append_le(bytes, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  }
  return bytes;
}

// Every 16-bit pattern is a bf16 and an f16: NaNs with every payload, -0.0, denormals, infinities.
Buffer all_patterns() {
  Buffer bytes;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    append_le(bytes, static_cast<std::uint16_t>(bits));
  }
  return bytes;
}

TEST(Elements, EveryBitPatternComesBack) {
  const Buffer all = all_patterns();
  Buffer backwards;
  for (std::uint32_t bits = 0x10000; bits > 0; --bits) {
    append_le(backwards, static_cast<std::uint16_t>(bits - 1));
  }
  for (const Element element : kElements) {
    expect_back(element, all);
    expect_back(element, all, backwards);
    expect_back(element, all, all);
  }
}

TEST(Elements, AnyBytesOfAnyLengthComeBack) {
  for (const std::size_t count : {0U, 4U, 8U, 252U, 256U, 1000U, 65532U, 262144U}) {
    const Buffer raw = random_bytes(count, 1);
    const Buffer base = random_bytes(count, 2);
    for (const Element element : kElements) {
      EXPECT_LE(expect_back(element, raw), count + 1);
      EXPECT_LE(expect_back(element, raw, base), count + 1);
    }
  }
}

TEST(Elements, NormalBf16WeightsShrinkByHalfAsMuchAgain) {
  const Buffer raw = bfloats(1U << 17, 0);
  EXPECT_LT(expect_back(Element::kBf16, raw) * 3, raw.size() * 2);
}

TEST(Elements, ASmallChangeCostsLessThanItsEntropyWithoutTheBase) {
  const Buffer base = bfloats(1U << 17, 0);
  EXPECT_LT(expect_back(Element::kBf16, bfloats(1U << 17, 1e-3), base) * 10, base.size());
  EXPECT_LT(expect_back(Element::kBf16, bfloats(1U << 17, 1e-2), base) * 39, base.size() * 10);
  EXPECT_LT(expect_back(Element::kBf16, base, base), 64);
}

TEST(Elements, AnUnrelatedBaseCostsNothing) {
  const Buffer raw = bfloats(1U << 17, 0);
  Buffer other = random_bytes(raw.size(), 5);
  EXPECT_EQ(expect_back(Element::kBf16, raw, other), expect_back(Element::kBf16, raw));
}

TEST(Elements, DamageAndAMissingBaseAreRefused) {
  CodecMemory memory;
  const Buffer raw = bfloats(2000, 0);
  const Buffer base = bfloats(2000, 1e-2);
  Buffer out(raw.size());
  for (const ByteView of : {ByteView(), ByteView(base)}) {
    const Buffer good = encoded(Element::kBf16, raw, of, memory);
    ASSERT_NE(good[0], std::byte{0});
    for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
      const Buffer page(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes));
      const auto result = decode_elements(Element::kBf16, page, of, memory, out);
      ASSERT_FALSE(result) << bytes;
      EXPECT_EQ(result.error().code, Errc::kCorrupt);
    }
    Buffer other = good;
    other[0] = std::byte{3};
    EXPECT_FALSE(decode_elements(Element::kBf16, other, of, memory, out));
  }
  const Buffer page = encoded(Element::kBf16, raw, base, memory);
  EXPECT_FALSE(decode_elements(Element::kBf16, page, {}, memory, out));
}

}  // namespace
}  // namespace skein
