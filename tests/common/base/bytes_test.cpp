#include "common/base/bytes.h"

#include <gtest/gtest.h>

#include "common/base/digest.h"

namespace skein {
namespace {

TEST(Bytes, NumbersAreLittleEndianAtAnyOffset) {
  Buffer bytes;
  append_le(bytes, std::uint8_t{0xaa});
  append_le(bytes, std::uint32_t{0x01020304});
  EXPECT_EQ(to_hex(bytes), "aa04030201");
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 1), 0x01020304U);
  store_le(bytes, 3, std::uint16_t{0xbeef});
  EXPECT_EQ(to_hex(bytes), "aa0403efbe");
  append_le(bytes, -0.0F);
  EXPECT_EQ(to_hex(ByteView(bytes).last(4)), "00000080");
}

TEST(Bytes, ReadingOrWritingPastTheEndStopsTheProcess) {
  const Buffer bytes(4);
  EXPECT_DEATH(load_le<std::uint32_t>(bytes, 1), "CHECK|offset");
  EXPECT_DEATH(load_le<std::uint8_t>(bytes, SIZE_MAX), "CHECK|offset");
  Buffer out(4);
  EXPECT_DEATH(store_le(out, 3, std::uint16_t{0}), "CHECK|offset");
}

TEST(Bytes, HexIsReadBackInEitherCase) {
  Buffer every(256);
  for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<std::byte>(i);
  const std::string hex = to_hex(every);
  EXPECT_EQ(hex.size(), 512U);
  EXPECT_EQ(hex.substr(0, 8), "00010203");
  EXPECT_EQ(from_hex(hex), every);
  EXPECT_EQ(from_hex("DEADbeef"), from_hex("deadBEEF"));
  EXPECT_EQ(from_hex(""), Buffer{});
}

TEST(Bytes, WhatIsNoHexIsRefused) {
  for (const char* text : {"a", "abc", "0g", "0x", " 0", "0 ", "-1", "+1", "\xff\xff"}) {
    EXPECT_EQ(from_hex(text), std::nullopt) << text;
  }
}

TEST(Bytes, TextIsTheSameBytes) {
  const std::string text("a\0b\xff", 4);
  EXPECT_EQ(as_text(to_buffer(text)), text);
  EXPECT_EQ(to_buffer(as_bytes(text)), to_buffer(text));
  Buffer joined = to_buffer("ab");
  append(joined, as_bytes("cd"));
  EXPECT_EQ(as_text(joined), "abcd");
}

TEST(Digest, IsReadFromExactly64HexDigits) {
  const std::string hex = std::string(62, '0') + "a1";
  const auto digest = Digest::from_hex(hex);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->hex(), hex);
  EXPECT_EQ(digest->short_hex(), "000000000000");
  EXPECT_FALSE(digest->is_zero());
  EXPECT_TRUE(Digest{}.is_zero());
  for (const std::string& text :
       {hex.substr(1), hex.substr(2), hex + "00", std::string(64, 'g'), std::string()}) {
    EXPECT_EQ(Digest::from_hex(text), std::nullopt) << text;
  }
  EXPECT_EQ(Digest::from_bytes(Buffer(31)), std::nullopt);
  EXPECT_EQ(Digest::from_bytes(Buffer(33)), std::nullopt);
}

}  // namespace
}  // namespace skein
