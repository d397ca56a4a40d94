#include "edge_node/tool/token_ids.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(TokenIds, AreReadBetweenCommasAndWhiteSpace) {
  const std::vector<TokenId> expected = {1, 0, 65529};
  for (const char* text : {"1,0,65529", "1 0 65529\n", " 1,\t0,,\r\n65529, "}) {
    EXPECT_EQ(parse_token_ids(text, "--tokens").value(), expected) << text;
  }
}

TEST(TokenIds, RefuseWhatIsNoNumberAndNothingAtAll) {
  for (const char* text : {"", " , ", "1,x", "1.5", "-1", "+1", "4294967296", "0x10", "1;2"}) {
    const auto ids = parse_token_ids(text, "ids.txt");
    ASSERT_FALSE(ids) << text;
    EXPECT_EQ(ids.error().code, Errc::kUsage);
    EXPECT_EQ(ids.error().where, "ids.txt");
  }
}

TEST(TokenIds, OutsideTheVocabularyAreNamed) {
  EXPECT_TRUE(check_token_ids({0, 9}, 10));
  const auto refused = check_token_ids({0, 10}, 10);
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()),
            "token id 10 is not in the vocabulary (token 1): ids go from 0 to 9");
}

}  // namespace
}  // namespace skein
