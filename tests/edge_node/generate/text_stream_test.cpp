#include "edge_node/generate/text_stream.h"

#include <gtest/gtest.h>

#include <random>

namespace skein {
namespace {

TEST(TextStream, HoldsHalfACharacterBackUntilItIsWhole) {
  TextStream stream({});
  EXPECT_EQ(stream.add("a\xC3"), "a");
  EXPECT_EQ(stream.add("\xA9"), "\xC3\xA9");
  EXPECT_EQ(stream.add("\xF0\x9F"), "");
  EXPECT_EQ(stream.add("\x98\x80!"), "\xF0\x9F\x98\x80!");
}

TEST(TextStream, ShowsBytesThatAreNoUtf8AsReplacementCharacters) {
  TextStream stream({});
  EXPECT_EQ(stream.add("a\xFF"
                       "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(stream.add("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  EXPECT_EQ(stream.add("\xED\xA0\x80").size(), 9U);               // a surrogate
  EXPECT_EQ(stream.add("\xE2\x82"), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(TextStream, FindsAStopStringSplitOverTokens) {
  TextStream stream({"\n\nUser:"});
  EXPECT_EQ(stream.add("Hello\n"), "Hello");
  EXPECT_EQ(stream.add("\nUs"), "");
  EXPECT_EQ(stream.add("er: and more"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.add("ignored"), "");
}

TEST(TextStream, GivesWhatOnlyLookedLikeAStop) {
  TextStream stream({"\n\nUser:"});
  EXPECT_EQ(stream.add("a\n\nUs"), "a");
  EXPECT_EQ(stream.add("x"), "\n\nUsx");
  EXPECT_FALSE(stream.stopped());
}

TEST(TextStream, StopsAtTheEarliestOfSeveral) {
  TextStream stream({"world", "lo"});
  EXPECT_EQ(stream.add("hello world"), "hel");
  EXPECT_TRUE(stream.stopped());
}

TEST(TextStream, HandsOutWhatItHeldAtTheEnd) {
  TextStream stream({"stop"});
  EXPECT_EQ(stream.add("go sto"), "go ");
  EXPECT_EQ(stream.finish(), "sto");
}

// However the bytes are cut, the text is the same, and no piece ends inside a character.
TEST(TextStream, DoesNotDependOnWhereTokensAreCut) {
  const std::string whole = "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 abab abc end";
  std::mt19937_64 random(5);
  for (int round = 0; round < 500; ++round) {
    TextStream stream({"abc"});
    std::string text;
    for (std::size_t at = 0; at < whole.size();) {
      const std::size_t count = 1 + random() % 4;
      const std::string piece = stream.add(whole.substr(at, count));
      EXPECT_EQ(piece.find("\xEF\xBF\xBD"), std::string::npos);
      text += piece;
      at += count;
    }
    text += stream.finish();
    EXPECT_EQ(text, "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 abab ");
  }
}

}  // namespace
}  // namespace skein
