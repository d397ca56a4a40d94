#include "common/base/utf8.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(Utf8, EveryCharacterComesBackFromItsBytes) {
  for (std::uint32_t code = 0; code <= kMaxCodePoint; ++code) {
    if (is_surrogate(code)) continue;
    std::string bytes;
    append_utf8(bytes, code);
    const Utf8Character whole = first_character(bytes + "x");
    ASSERT_TRUE(whole.valid) << code;
    ASSERT_EQ(whole.code, code);
    ASSERT_EQ(whole.length, bytes.size());
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      const Utf8Character part = first_character(std::string_view(bytes).substr(0, cut));
      ASSERT_TRUE(part.unfinished && !part.valid) << code;
    }
  }
}

TEST(Utf8, SurrogatesLongFormsAndStrayBytesAreNoCharacters) {
  for (const std::string_view bytes :
       {"\xED\xA0\x80", "\xC0\x80", "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\x80",
        "\xFF", "\xC3x"}) {
    const Utf8Character stray = first_character(bytes);
    EXPECT_FALSE(stray.valid || stray.unfinished) << static_cast<int>(bytes[0]);
    EXPECT_EQ(stray.length, 1U);
  }
  EXPECT_FALSE(is_character(0xD800));
  EXPECT_FALSE(is_character(kMaxCodePoint + 1));
}

}  // namespace
}  // namespace skein
