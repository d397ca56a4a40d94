#include "edge_node/generate/chat.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(ChatTemplate, RendersTurnsTheWayRwkvWorldLearnedThem) {
  const ChatTemplate chat;
  const auto text = chat.render({{"system", "Be brief."},
                                 {"user", "Hi!\r\n\r\n\r\nHow are you? "},
                                 {"assistant", "Fine."},
                                 {"user", "Good"}});
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "System: Be brief.\n\nUser: Hi!\nHow are you?\n\nAssistant: Fine.\n\nUser: Good\n\n"
            "Assistant:");
  EXPECT_EQ(chat.stops(), std::vector<std::string>{"\n\nUser:"});
}

TEST(ChatTemplate, RefusesARoleItDoesNotKnow) {
  const auto refused = ChatTemplate().render({{"tool", "x"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
}

TEST(ChatTemplate, TakesTheArtifactsOwnPatterns) {
  const auto chat =
      ChatTemplate::parse(R"({"system":"<s>{}\n","user":"<u>{}\n","assistant":"<a>{}\n",)"
                          R"("prompt":"<a>","stop":["<u>"]})");
  ASSERT_TRUE(chat) << to_string(chat.error());
  EXPECT_EQ(chat->render({{"user", "one\n\ntwo {}"}}).value(), "<u>one\n\ntwo {}\n<a>");
  EXPECT_EQ(chat->stops(), std::vector<std::string>{"<u>"});
}

TEST(ChatTemplate, RefusesPatternsThatAreNotWhatTheyShouldBe) {
  for (const char* bad : {"{", "[]", "{}", R"({"system":1})"}) {
    EXPECT_FALSE(ChatTemplate::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace skein
