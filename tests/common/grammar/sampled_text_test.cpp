// Whatever a model says, an answer under a grammar follows it: random logits, sampled as an answer
// is, then read by others.
#include <gtest/gtest.h>

#include "common/grammar/grammar_state.h"
#include "common/grammar/json_schema.h"
#include "common/grammar/token_filter.h"
#include "common/model/sampler.h"
#include "common/model/tokenizer.h"
#include "tests/common/grammar/schema_validator.h"
#include "tests/support/random_floats.h"
#include "tests/support/shared_file.h"

namespace skein {
namespace {

struct Vocabulary {
  std::vector<std::string> own;
  std::vector<std::string_view> bytes;
  std::shared_ptr<const TokenTrie> trie;
};

// All bytes, and pieces of JSON as tokens have them; some are parts of characters.
Vocabulary small_vocabulary() {
  Vocabulary made;
  made.own.emplace_back();
  for (int byte = 0; byte < 256; ++byte) made.own.emplace_back(1, static_cast<char>(byte));
  for (const char* token :
       {"{\"",    "\":",  "\": ",     "\",",      "\", \"",   "\"}",
        "},",     "]}",   "[[",       "{}",       "null",     "true",
        "fal",    "se",   "12",       "00",       "-1",       ".5",
        "e+",     "ab",   "name",     "\\u",      "\\\"",     "00e9",
        "\n    ", ", ",   "\xC3\xA9", "\xE3\x81", "\x82\xE3", "\xF0\x9F\x98\x80",
        "20",     "-02-", "29T"}) {
    made.own.emplace_back(token);
  }
  made.bytes.assign(made.own.begin(), made.own.end());
  made.trie = TokenTrie::make(made.bytes, kEndOfText);
  return made;
}

// An answer of at most `most` tokens; whether it came to its end. Every 16th logit vector is new:
// like a model's, they lean one way for a while. `ending` draws the text to its end.
bool answer(const Grammar& grammar, const Vocabulary& vocabulary, std::uint64_t seed,
            std::size_t most, std::string& text) {
  TokenFilter filter(grammar, vocabulary.trie);
  Sampler sampler({.temperature = 1.5F, .seed = seed, .presence_penalty = 0.5F});
  for (std::size_t made = 0; made < most; ++made) {
    if (filter.is_complete()) return true;
    const auto logits = test::random_floats(vocabulary.bytes.size(), seed * 1000 + made / 16, 3);
    const auto allowed = filter.allowed();
    EXPECT_TRUE(allowed) << to_string(allowed.error()) << text;
    if (!allowed) return false;
    const TokenId id = sampler.pick(logits, *allowed);
    EXPECT_TRUE(holds(*allowed, id));
    if (id == kEndOfText) return true;
    EXPECT_TRUE(filter.accept(vocabulary.bytes[id]));
    text += vocabulary.bytes[id];
  }
  return filter.is_complete();
}

const char* const kSchemas[] = {
    R"({"type":"object"})",
    R"({})",
    R"({"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":8},
        "age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array",
        "items":{"enum":["a","b",null,3]},"minItems":1,"maxItems":3}},"required":["name","tags"]})",
    R"({"type":"array","items":{"type":"number","minimum":-1.5,"maximum":22.75},"minItems":2,
          "maxItems":5})",
    R"({"$defs":{"tree":{"type":"object","properties":{"v":{"type":"boolean"},
        "kids":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["v"]}},
        "$ref":"#/$defs/tree"})",
    R"({"type":"object","properties":{"id":{"type":"string","pattern":"^[a-f]{2}-\\d+$"},
        "when":{"type":"string","format":"date"}},"required":["id"],
        "additionalProperties":{"type":["integer","null"]}})",
    R"({"anyOf":[{"type":"string","maxLength":3},{"prefixItems":[{"type":"integer",
          "exclusiveMinimum":5},
        {"const":"x"}],"items":false,"minItems":2},{"type":"null"}]})",
    R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},
        {"properties":{"a":{"maximum":-3},"b":{"type":"string","maxLength":2}}}]})",
    R"({"type":"object","properties":{"p":{"type":"number","exclusiveMinimum":0,
          "exclusiveMaximum":1},
        "q":{"type":"integer","maximum":-7},"r":{"minimum":0.125,"type":"number"}},
          "required":["p","q","r"]})",
};

TEST(SampledText, UnderASchemaIsJsonThatFitsIt) {
  const Vocabulary vocabulary = small_vocabulary();
  int ended = 0;
  for (const char* text : kSchemas) {
    SCOPED_TRACE(text);
    const boost::json::value schema = boost::json::parse(text);
    const test::SchemaValidator validator(schema);
    const auto grammar = grammar_of_schema(text);
    ASSERT_TRUE(grammar) << to_string(grammar.error());
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      std::string said;
      if (!answer(*grammar, vocabulary, seed, 300, said)) continue;
      ++ended;
      boost::system::error_code error;
      const auto value = boost::json::parse(said, error, {}, {.max_depth = 600});
      ASSERT_FALSE(error) << error.message() << "\n" << said;
      ASSERT_TRUE(validator.fits(value)) << said;
    }
  }
  EXPECT_GT(ended, 200);  // of 540; the others were still within a list or a text
}

TEST(SampledText, UnderAGrammarFollowsIt) {
  const Vocabulary vocabulary = small_vocabulary();
  for (const char* text :
       {"root ::= (\"ab\" | [^a-z]{1,3} | root2)+\nroot2 ::= \"<\" root2 \">\" | "
        "[\xC3\xA0-\xE3\x83\xBF]",
        "root ::= [0-9]{1,4} (\", \" root)?", "root ::= \"{\" (.{3})* \"}\" | \"null\""}) {
    SCOPED_TRACE(text);
    const Grammar grammar = Grammar::parse(text).value();
    int ended = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      std::string said;
      const bool whole = answer(grammar, vocabulary, seed, 60, said);
      GrammarState state(grammar);
      ASSERT_TRUE(state.accept(said)) << said;
      ASSERT_TRUE(!whole || state.may_end()) << said;
      ended += whole ? 1 : 0;
    }
    EXPECT_GT(ended, 10);
  }
}

TEST(SampledText, OfTheWorldVocabularyToo) {
  const std::string path = "tokenizer/rwkv_vocab_v20230424.txt";
  const auto file = read_shared(path);
  if (!file) GTEST_SKIP() << needs_shared(path);
  const auto tokenizer = Tokenizer::parse(as_text(*file)).value();
  Vocabulary vocabulary;
  for (TokenId id = 0; id <= tokenizer->largest_id(); ++id) {
    vocabulary.bytes.push_back(tokenizer->bytes_of(id));
  }
  vocabulary.trie = TokenTrie::make(vocabulary.bytes, kEndOfText);
  const boost::json::value schema = boost::json::parse(kSchemas[2]);
  const Grammar grammar = grammar_of_schema(kSchemas[2]).value();
  int ended = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    std::string said;
    if (!answer(grammar, vocabulary, seed, 60, said)) continue;
    ++ended;
    EXPECT_TRUE(test::SchemaValidator(schema).fits(boost::json::parse(said))) << said;
  }
  EXPECT_GT(ended, 5);
}

}  // namespace
}  // namespace skein
