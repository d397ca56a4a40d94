// GBNF: what is read, what it means, and what is refused.
#include "common/base/utf8.h"
#include "common/grammar/grammar.h"
#include "tests/common/grammar/fits.h"

namespace skein {
namespace {

using test::fits;
using test::grammar_of;
using Texts = std::vector<std::string>;

struct Case {
  const char* gbnf;
  Texts fitting;
  Texts other;
};

void expect_cases(const std::vector<Case>& cases) {
  for (const auto& [gbnf, fitting, other] : cases) {
    SCOPED_TRACE(gbnf);
    const Grammar grammar = grammar_of(gbnf);
    for (const std::string& text : fitting) EXPECT_TRUE(fits(grammar, text)) << text;
    for (const std::string& text : other) EXPECT_FALSE(fits(grammar, text)) << text;
  }
}

TEST(Gbnf, TextClassesAndEscapes) {
  expect_cases({
      {R"(root ::= "ab")", {"ab"}, {"", "a", "abc", "b", "AB"}},
      {R"(root ::= "")", {""}, {"a"}},
      {R"(root ::= "a" "" "b")", {"ab"}, {"a"}},
      {R"(root ::= "\"\\\n\r\t\[\]\-")", {"\"\\\n\r\t[]-"}, {"\"\\"}},
      {R"(root ::= "\x41\u00e9\U0001F600")", {"A\xC3\xA9\xF0\x9F\x98\x80"}, {"A\xE9"}},
      {R"(root ::= [a-c])", {"a", "b", "c"}, {"d", "", "ab"}},
      {R"(root ::= [abx-z])", {"a", "b", "x", "y", "z"}, {"c", "w"}},
      {R"(root ::= [a-])", {"a", "-"}, {"b"}},
      {R"(root ::= [-a])", {"a", "-"}, {"b"}},
      {R"(root ::= [\]\\\-\x00])", {"]", "\\", "-", std::string(1, '\0')}, {"x", "["}},
      {R"(root ::= [^a-c])", {"d", "\n", "\xC3\xA9", "\xF4\x8F\xBF\xBF"}, {"a", "c", ""}},
      {R"(root ::= [^\n]+)", {"ab", "\xE3\x81\x82"}, {"a\nb", ""}},
      {R"(root ::= .)", {"a", "\n", "\xC3\xA9", "\xF0\x9F\x98\x80"}, {"", "ab", "\xC3", "\xA9"}},
      {"root ::= [\xE3\x81\x81-\xE3\x82\x9F]+",  // hiragana
       {"\xE3\x81\x82\xE3\x82\x93"},
       {"a", "\xE3\x83\x80", "\xE3\x81"}},
  });
}

TEST(Gbnf, AClassHoldsItsCharactersAndNoOthers) {
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges = {
      {0x30, 0x39},      {0x7F, 0x80},       {0x3FF, 0x1001},     {0xD7FF, 0xE000},
      {0xFFFF, 0x10001}, {0x3FFFE, 0x40003}, {0x10FFFE, 0x10FFFF}};
  for (const auto& [first, last] : ranges) {
    char text[64];
    std::snprintf(text, sizeof text, "root ::= [\\U%08X-\\U%08X]", first, last);
    const Grammar grammar = grammar_of(text);
    const std::uint32_t begin = first < 70 ? 0 : first - 70;
    for (std::uint32_t code = begin; code <= std::min(last + 70, kMaxCodePoint); ++code) {
      if (is_surrogate(code)) continue;
      std::string bytes;
      append_utf8(bytes, code);
      GrammarState state(grammar);
      ASSERT_EQ(state.accept(bytes).has_value(), code >= first && code <= last)
          << text << " " << code;
    }
  }
  GrammarState any(grammar_of("root ::= [\\uD7FF-\\uE000]"));
  EXPECT_FALSE(any.accept("\xED\xA0\x80"));  // a surrogate
}

TEST(Gbnf, ChoiceGroupsRepetitionAndRules) {
  expect_cases({
      {R"(root ::= "a" | "bc" | )", {"a", "bc", ""}, {"b", "abc"}},
      {R"(root ::= | "a")", {"", "a"}, {"aa"}},
      {R"(root ::= ("a" | "b") "c")", {"ac", "bc"}, {"c", "ab"}},
      {R"(root ::= "ab"*)", {"", "ab", "abab"}, {"a", "aba"}},
      {R"(root ::= [ab]+)", {"a", "abba"}, {"", "c"}},
      {R"(root ::= "a"? "b")", {"ab", "b"}, {"a", "aab"}},
      {R"(root ::= "a"{2})", {"aa"}, {"a", "aaa"}},
      {R"(root ::= "a"{2,})", {"aa", "aaaaa"}, {"a", ""}},
      {R"(root ::= "a"{2,3})", {"aa", "aaa"}, {"a", "aaaa"}},
      {R"(root ::= "a"{0,2})", {"", "a", "aa"}, {"aaa"}},
      {R"(root ::= "a"{0} "b")", {"b"}, {"ab"}},
      {R"(root ::= ("a" "b"?){2,3})", {"aa", "abab", "aab", "aaab"}, {"a", "abb", "aaaa"}},
      {R"(root ::= ("ab" | "c"){ 1 , 2 })", {"ab", "cab", "cc"}, {"", "ccc"}},
      {R"(root ::= ("a"* "b"*)*)", {"", "abba", "bbaab"}, {"c"}},
      {R"(root ::= (("a"?)*)+ "b")", {"b", "aab"}, {"", "ba"}},
      {"root ::= x y-2_z\nx ::= \"1\"\ny-2_z ::= x x", {"111"}, {"11", "1111"}},
      {"root ::= \"(\" root \")\" | \"\"", {"", "()", "((()))"}, {"(", "())", ")("}},
      {"root ::= item | item \",\" root\nitem ::= [0-9]+", {"1", "12,3,4"}, {"1,", ","}},
      {"root ::= \"a\" root \"b\" root | \"\"", {"ab", "aabbab"}, {"ba", "aab"}},
      {"# all\n\n  root ::= \"a\" # first\n\t# more\n\nb ::= \"b\"  # unused\n", {"a"}, {"b"}},
      {"root ::= (\n  # c\n  \"a\"\n  | \"b\"\n) |\n  \"d\"\r\nx ::= \"x\"\r\n", {"a", "d"}, {"x"}},
      {"root ::=\n \"a\"", {"a"}, {""}},
  });
}

TEST(Gbnf, SaysWhatIsWrongAndWhere) {
  const std::tuple<std::string, const char*, const char*> cases[] = {
      {"", "no rule is named \"root\"", "grammar"},
      {"start ::= \"a\"", "no rule is named \"root\"", "grammar"},
      {"root ::= a", "the rule \"a\" is not defined", "line 1, column 10"},
      {"root ::= \"\xC3\xA9\" b\n", "the rule \"b\" is not defined", "line 1, column 14"},
      {"root ::= \"a\"\nroot ::= \"b\"", "defined twice", "line 2, column 1"},
      {"root = \"a\"", "no ::=", "line 1, column 6"},
      {"= \"a\"", "begins with its name", "line 1, column 1"},
      {"root ::= \"a", "text is never closed", "line 1, column 10"},
      {"root ::= [a", "class is never closed", "line 1, column 10"},
      {"root ::= []", "no character is in", "line 1, column 10"},
      {"root ::= [^\\x00-\\U0010FFFF]", "no character is in", "line 1, column 10"},
      {"root ::= [z-a]", "runs backwards", "line 1, column 11"},
      {"root ::= \"\\q\"", "escape that is not known", "line 1, column 11"},
      {"root ::= \"\\x4\"", "2 hexadecimal digits", "line 1, column 11"},
      {"root ::= \"\\u12G4\"", "4 hexadecimal digits", "line 1, column 11"},
      {"root ::= \"\\uD800\"", "no Unicode character", "line 1, column 11"},
      {"root ::= \"\\U00110000\"", "no Unicode character", "line 1, column 11"},
      {"root ::= \"\xC3\"", "no UTF-8", "line 1, column 11"},
      {"root ::= (\"a\"", "( is never closed", "line 1, column 10"},
      {"root ::= \"a\")", ") without its (", "line 1, column 13"},
      {"root ::= *", "nothing stands before this *", "line 1, column 10"},
      {"root ::= \"a\"*+", "nothing stands before this +", "line 1, column 14"},
      {"root ::= \"a\"{", "repetition that is not read", "line 1, column 13"},
      {"root ::= \"a\"{,3}", "repetition that is not read", "line 1, column 13"},
      {"root ::= \"a\"{1;2}", "repetition that is not read", "line 1, column 13"},
      {"root ::= \"a\"{3,2}", "most is below its least", "line 1, column 13"},
      {"root ::= <think>", "tokens as such", "line 1, column 10"},
      {"root ::= \"a\" | \nx ::= \"b\"", "before the one above has ended", "line 2, column 3"},
      {"root ::= \"a\" %", "'%' that means nothing", "line 1, column 14"},
      {"root ::= root \"a\" | \"b\"", "\"root\" begins with itself", "line 1, column 1"},
      {"root ::= x\nx ::= \"\"? y\ny ::= [a]* x \"b\" | \"c\"", "begins with itself", "line "},
      {"root ::= (\"y\"? root \"x\"){2,3} | \"z\"", "begins with itself", "line 1"},
      {"root ::= \"a\" x\nx ::= \"b\" x", "\"x\" can never end", "line 2, column 1"},
      {"root ::= \"a\" (\"b\" x)*\nx ::= \"c\" x", "can never end", "line "},
  };
  for (const auto& [gbnf, what, where] : cases) {
    SCOPED_TRACE(gbnf);
    const auto refused = Grammar::parse(gbnf);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kCorrupt);
    EXPECT_NE(refused.error().what.find(what), std::string::npos) << refused.error().what;
    EXPECT_TRUE(refused.error().where.starts_with(where)) << refused.error().where;
    EXPECT_FALSE(refused.error().remedy.empty());
  }
}

TEST(Gbnf, LimitsAreReachedAndNamed) {
  std::string rules = "root ::= \"a\"\n";
  for (std::size_t i = 0; i < kMaxGrammarRules; ++i) rules += "r" + std::to_string(i) + " ::= .\n";
  std::string chain;  // begins kMaxGrammarDepth + 1 rules within each other
  for (int i = 0; i <= 1100; ++i) {
    chain += (i == 0 ? "root" : "c" + std::to_string(i)) + " ::= c" + std::to_string(i + 1) +
             " \"x\" | \"y\"\n";
  }
  chain += "c1101 ::= \"z\"\n";
  std::string ways = "root ::= \"0\"";
  for (int i = 1; i < 5000; ++i) ways += " | \"" + std::to_string(i) + "\" [ab]*";
  const std::pair<std::string, const char*> cases[] = {
      {"root ::= " + std::string(kMaxGrammarBytes, ' '), "bytes, more than"},
      {rules, "too many rules"},
      {"root ::= " + std::string(101, '(') + "\"a\"" + std::string(101, ')'), "nested too deep"},
      {"root ::= \"a\"{16385}", "too many repetitions"},
      {"root ::= \"a\"{99999999999999999999}", "too many repetitions"},
      {"root ::= \"a\"{16384} \"b\"{16384} (\"cd\"{16384} | \"ef\"{16384} | [gh]{16384}){16384}"
       " .{16384} .{16384} .{16384} .{16384} .{16384} .{16384} .{16384} .{16384} .{16384} .{16384}",
       "too large"},
      {chain, "opens more than 1024"},
      {"root ::= (\"a\" | x){0,5000}\nx ::= \"a\"", ""},
      {ways, ""},
  };
  for (const auto& [gbnf, what] : cases) {
    SCOPED_TRACE(gbnf.substr(0, 60));
    const auto refused = Grammar::parse(gbnf);
    ASSERT_EQ(refused.has_value(), *what == '\0');
    if (refused) continue;
    EXPECT_EQ(refused.error().code, Errc::kUnsupported);
    EXPECT_NE(to_string(refused.error()).find(what), std::string::npos) << refused.error().what;
  }
  const std::string deep = "root ::= " + std::string(100, '(') + "\"a\"" + std::string(100, ')');
  EXPECT_TRUE(fits(grammar_of(deep), "a"));
}

}  // namespace
}  // namespace skein
