// Which tokens may come next: exactly those that the grammar takes.
#include "common/grammar/token_filter.h"

#include "common/model/tokenizer.h"
#include "tests/common/grammar/fits.h"
#include "tests/support/shared_file.h"

namespace skein {
namespace {

using test::grammar_of;

constexpr std::string_view kJson = R"(
root ::= value
value ::= "{" ws (member ("," ws member)*)? "}" | "[" ws (value ws ("," ws value ws)*)? "]" |
  string | "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? | "true" | "false" | "null"
member ::= string ws ":" ws value ws
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
ws ::= | " " | "\n" [ \t]{0,20}
)";

std::vector<TokenId> listed(TokenMask mask) {
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < mask.size() * 64; ++id) {
    if (holds(mask, id)) ids.push_back(id);
  }
  return ids;
}

// A vocabulary of 1...n in this order; 0 is the end of text.
struct Vocabulary {
  explicit Vocabulary(std::vector<std::string> tokens) : own(std::move(tokens)) {
    own.insert(own.begin(), "");
    bytes.assign(own.begin(), own.end());
    trie = TokenTrie::make(bytes, kEndOfText);
  }
  std::vector<std::string> own;
  std::vector<std::string_view> bytes;
  std::shared_ptr<const TokenTrie> trie;
};

TEST(TokenFilter, AllowsWhatFitsWholeAndTheEndWhenItMayCome) {
  const Vocabulary vocabulary({"a", "ab", "abc", "b", "ba", "", "ab", "\xC3", "\xA9", "x\xC3"});
  TokenFilter filter(grammar_of("root ::= \"ab\" [\xC3\xA9]?"), vocabulary.trie);
  EXPECT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{1, 2, 7}));  // two tokens are alike
  EXPECT_TRUE(filter.accept("a"));
  EXPECT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{4}));
  EXPECT_TRUE(filter.accept("b"));
  EXPECT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{kEndOfText, 8}));
  EXPECT_FALSE(filter.is_complete());
  EXPECT_TRUE(filter.accept("\xC3"));  // half a character
  EXPECT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{9}));
  EXPECT_TRUE(filter.accept("\xA9"));
  EXPECT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{kEndOfText}));
  EXPECT_TRUE(filter.is_complete());
  EXPECT_TRUE(filter.accept(""));
  EXPECT_FALSE(filter.accept("a"));
  filter.restart();
  EXPECT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{1, 2, 7}));
}

TEST(TokenFilter, RefusesAVocabularyThatCannotWriteTheGrammar) {
  const Vocabulary vocabulary({"a", "b"});
  TokenFilter filter(grammar_of("root ::= \"ac\""), vocabulary.trie);
  EXPECT_TRUE(filter.allowed());
  EXPECT_TRUE(filter.accept("a"));
  const auto refused = filter.allowed();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_NE(refused.error().what.find("no token"), std::string::npos);
}

TEST(TokenFilter, GivesUpOnAGrammarThatIsTooAmbiguous) {
  std::vector<std::string> tokens = {"c"};
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string token;
    for (int n = 0; n < 30; ++n) token += "ab"[random() % 2];
    tokens.push_back(token);
  }
  const Vocabulary vocabulary(tokens);
  // Each text of n letters has its own set of groups that it may have begun.
  TokenFilter filter(grammar_of("root ::= ([ab]* \"a\" [ab]{1000} | [ab]* \"b\" [ab]{900}) \"c\""),
                     vocabulary.trie);
  Result<void> went = {};
  for (int i = 0; i < 100 && went; ++i) {
    const auto mask = filter.allowed();
    went = mask ? filter.accept(tokens[1]) : tl::unexpected<Error>(mask.error());
  }
  ASSERT_FALSE(went);
  EXPECT_EQ(went.error().code, Errc::kUnsupported);
  EXPECT_NE(went.error().what.find("too ambiguous"), std::string::npos) << went.error().what;
}

TEST(TokenFilter, SaysWhichLimitLeavesNothingToWrite) {
  const Vocabulary vocabulary({"a", "("});
  std::string many = "root ::= \"\" | \"a\" (\"!\"";
  for (int i = 0; i < 5000; ++i) many += "| r" + std::to_string(i);
  many += ")\n";
  for (int i = 0; i < 5000; ++i) many += "r" + std::to_string(i) + " ::= \"a\" \"a\"\n";
  TokenFilter ambiguous(grammar_of(many), vocabulary.trie);
  const auto ways = ambiguous.allowed();
  ASSERT_FALSE(ways);
  EXPECT_NE(ways.error().what.find("4096"), std::string::npos) << ways.error().what;

  TokenFilter deep(grammar_of("root ::= \"(\" root \")\""
                              " | \"x\""),
                   vocabulary.trie);
  ASSERT_TRUE(deep.accept(std::string(kMaxGrammarDepth, '(')));
  const auto nested = deep.allowed();
  ASSERT_FALSE(nested);
  EXPECT_NE(nested.error().what.find("1024"), std::string::npos) << nested.error().what;
}

// Every token on its own: what the walk over all of them is compared with.
std::vector<TokenId> one_by_one(const Grammar& grammar, const std::string& text,
                                std::span<const std::string_view> bytes) {
  std::vector<TokenId> ids;
  GrammarState here(grammar);
  EXPECT_TRUE(here.accept(text));
  if (here.may_end()) ids.push_back(kEndOfText);
  for (TokenId id = 1; id < bytes.size(); ++id) {
    if (bytes[id].empty()) continue;
    if (!here.may_follow(static_cast<unsigned char>(bytes[id][0]))) continue;
    GrammarState state(grammar);
    EXPECT_TRUE(state.accept(text));
    if (state.accept(bytes[id])) ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> random_tokens(std::uint64_t seed) {
  const std::string letters = "{}[]\",: \n\\u0a1-.etrufalsn\xC3\xA9\xF0\x9F\x98\x80";
  std::mt19937_64 random(seed);
  std::vector<std::string> tokens;
  for (const char letter : letters) tokens.emplace_back(1, letter);
  for (int i = 0; i < 800; ++i) {
    std::string token;
    for (std::uint64_t n = 1 + random() % 5; n > 0; --n)
      token += letters[random() % letters.size()];
    tokens.push_back(token);
  }
  return tokens;
}

TEST(TokenFilter, AllowsExactlyTheTokensThatTheGrammarTakes) {
  const Grammar grammar = grammar_of(kJson);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Vocabulary vocabulary(random_tokens(seed));
    TokenFilter filter(grammar, vocabulary.trie);
    std::mt19937_64 random(seed);
    std::string text;
    for (int made = 0; made < 60 && !filter.is_complete(); ++made) {
      const auto mask = filter.allowed();
      ASSERT_TRUE(mask) << to_string(mask.error());
      const std::vector<TokenId> ids = listed(*mask);
      ASSERT_EQ(ids, one_by_one(grammar, text, vocabulary.bytes)) << text;
      const TokenId id = ids[random() % ids.size()];
      if (id == kEndOfText) break;
      ASSERT_TRUE(filter.accept(vocabulary.bytes[id]));
      text += vocabulary.bytes[id];
    }
  }
}

TEST(TokenFilter, FitsTheWholeWorldVocabulary) {
  const auto file = read_shared("tokenizer/rwkv_vocab_v20230424.txt");
  if (!file) GTEST_SKIP() << needs_shared("tokenizer/rwkv_vocab_v20230424.txt");
  const auto tokenizer = Tokenizer::parse(as_text(*file)).value();
  std::vector<std::string_view> bytes;
  for (TokenId id = 0; id <= tokenizer->largest_id(); ++id)
    bytes.push_back(tokenizer->bytes_of(id));
  const auto trie = TokenTrie::make(bytes, kEndOfText);
  const Grammar grammar = grammar_of(kJson);
  for (const std::string text : {"", "{\"a", "[1", "{\"a\": \"\xE3\x81", "[{}", "\"\\u00"}) {
    TokenFilter filter(grammar, trie);
    ASSERT_TRUE(filter.accept(text));
    EXPECT_EQ(listed(*filter.allowed()), one_by_one(grammar, text, bytes)) << text;
  }
}

TEST(TokenFilter, KeepsWithinItsMemoryAndStaysRight) {
  const Vocabulary vocabulary({"a", "b", "ab", "<", ">"});
  // Every count of letters is a state: more than are remembered, and more masks too.
  TokenFilter filter(grammar_of("root ::= (\"<\" [ab]{0,6000} \">\")+"), vocabulary.trie);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(filter.accept("<"));
    for (int i = 0; i < 6000; ++i) {
      const auto mask = filter.allowed();
      ASSERT_TRUE(mask);
      ASSERT_EQ(listed(*mask),
                i == 5999 ? (std::vector<TokenId>{1, 2, 5}) : (std::vector<TokenId>{1, 2, 3, 5}));
      ASSERT_TRUE(filter.accept("a"));
    }
    ASSERT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{5}));
    ASSERT_TRUE(filter.accept(">"));
    ASSERT_EQ(listed(*filter.allowed()), (std::vector<TokenId>{kEndOfText, 4}));
  }
}

}  // namespace
}  // namespace skein
