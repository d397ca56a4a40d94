#include "common/model/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/model/internal/vocabulary.h"

namespace skein {
namespace {

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<Tokenizer> tiny() {
  auto tokenizer = Tokenizer::parse(file_text(SKEIN_SOURCE_DIR "/tests/golden/tiny-vocab.txt"));
  EXPECT_TRUE(tokenizer) << to_string(tokenizer.error());
  return std::move(*tokenizer);
}

TEST(PythonLiteral, EscapesBecomeTheirBytes) {
  EXPECT_EQ(parse_python_literal(R"('a b')").value(), "a b");
  EXPECT_EQ(parse_python_literal(R"('\n\t\r\'\"\\')").value(), "\n\t\r'\"\\");
  EXPECT_EQ(parse_python_literal(R"("it's")").value(), "it's");
  EXPECT_EQ(parse_python_literal(R"('\x00')").value(), std::string(1, '\0'));
  EXPECT_EQ(parse_python_literal(R"('\xe9')").value(), "\xC3\xA9");       // a character
  EXPECT_EQ(parse_python_literal(R"(b'\xe9\xff')").value(), "\xE9\xFF");  // bytes
  EXPECT_EQ(parse_python_literal(R"('\u96fb')").value(), "\xE9\x9B\xBB");
  EXPECT_EQ(parse_python_literal(R"('\U0001F600')").value(), "\xF0\x9F\x98\x80");
  EXPECT_EQ(parse_python_literal("'\xE9\x9B\xBB'").value(), "\xE9\x9B\xBB");
}

TEST(PythonLiteral, RefusesWhatPythonRefuses) {
  for (const char* bad :
       {"", "'", "b'", "a", "'a", "'a\"", "'a'b'", R"('\')", R"('\q')", R"('\x4')", R"('\x4g')",
        R"('\u12')", R"('\ud800')", R"('\U00110000')", R"(b'\u0041')", "b'\xE9'", "u'a'"}) {
    EXPECT_FALSE(parse_python_literal(bad)) << bad;
  }
}

TEST(Tokenizer, TakesTheLongestTokenThatMatches) {
  const auto tokenizer = tiny();
  EXPECT_EQ(tokenizer->encode("robot robo").value(),
            (std::vector<TokenId>{257, 'r' + 1, 'o' + 1, 'b' + 1, 'o' + 1}));
  EXPECT_EQ(tokenizer->encode("\n\n\n").value(), (std::vector<TokenId>{270, '\n' + 1}));
  EXPECT_EQ(tokenizer->encode("").value(), std::vector<TokenId>{});
  EXPECT_EQ(tokenizer->largest_id(), 274U);
}

TEST(Tokenizer, AnyBytesComeBack) {
  const auto tokenizer = tiny();
  std::string text = "User: \xE9\x9B\xBB\xE6\xB1\xA0 it's a\"b";
  for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text).value()).value(), text);
}

TEST(Tokenizer, EndOfTextStandsForNoBytesAndUnknownIdsAreRefused) {
  const auto tokenizer = tiny();
  const std::vector<TokenId> ids = {0, 'a' + 1, 0};
  EXPECT_EQ(tokenizer->decode(ids).value(), "a");
  EXPECT_EQ(tokenizer->bytes_of(0), "");
  EXPECT_EQ(tokenizer->bytes_of(275), "");
  const std::vector<TokenId> unknown = {275};
  const auto refused = tokenizer->decode(unknown);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_NE(refused.error().what.find("275"), std::string::npos);
}

TEST(Tokenizer, NamesTheByteThatNoTokenCovers) {
  const auto tokenizer = Tokenizer::parse("1 'a' 1\n2 'ab' 2\n").value();
  const auto refused = tokenizer->encode("abax");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_NE(to_string(refused.error()).find("byte 3"), std::string::npos);
}

TEST(Tokenizer, RefusesABrokenVocabularyNamingTheLine) {
  const std::string long_token(1025, 'x');
  for (const std::string& bad :
       {std::string("x 'b' 1"), std::string("1 'b' 1"), std::string("2 'b' 2"),
        std::string("2 b 1"), std::string("2 'b'"), std::string("2"), std::string("0 'b' 1"),
        std::string("1048576 'b' 1"), std::string("99999999999 'b' 1"), std::string("2 '' 0"),
        std::string("-2 'b' 1"), "2 '" + long_token + "' 1025"}) {
    const auto refused = Tokenizer::parse("1 'a' 1\n" + bad + "\n");
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Errc::kCorrupt);
    EXPECT_NE(refused.error().where.find("line 2"), std::string::npos) << bad;
  }
  EXPECT_FALSE(Tokenizer::parse(""));
}

TEST(Tokenizer, TakesLinesEndingInCarriageReturnAndNoFinalNewline) {
  const auto tokenizer = Tokenizer::parse("1 'a' 1\r\n5 'b c' 3").value();
  EXPECT_EQ(tokenizer->encode("b ca").value(), (std::vector<TokenId>{5, 1}));
}

// One line of the vectors: {"hex": "..", "ids": [..]}.
struct WorldVector {
  std::string text;
  std::vector<TokenId> ids;
};
WorldVector parse_vector(const std::string& line) {
  WorldVector vector;
  const std::size_t hex = line.find("\"hex\": \"") + 8;
  const auto bytes = from_hex(line.substr(hex, line.find('"', hex) - hex));
  vector.text = as_text(bytes.value());
  std::string ids = line.substr(line.find('[') + 1);
  for (char& letter : ids) {
    if (letter == ',') letter = ' ';
  }
  std::istringstream numbers(ids);
  for (TokenId id = 0; numbers >> id;) vector.ids.push_back(id);
  return vector;
}

TEST(Tokenizer, AgreesWithTheWorldVectorsBothWays) {
  const std::string folder = SKEIN_SOURCE_DIR "/../shared/tokenizer";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "needs ../shared: tokenizer";
  const auto world = Tokenizer::parse(file_text(folder + "/rwkv_vocab_v20230424.txt"));
  ASSERT_TRUE(world) << to_string(world.error());
  std::ifstream vectors(folder + "/world_tokenizer_vectors.jsonl");
  std::size_t count = 0;
  for (std::string line; std::getline(vectors, line); ++count) {
    const WorldVector vector = parse_vector(line);
    EXPECT_EQ((*world)->encode(vector.text).value(), vector.ids) << line;
    EXPECT_EQ((*world)->decode(vector.ids).value(), vector.text) << line;
  }
  EXPECT_GT(count, 10U);
}

}  // namespace
}  // namespace skein
