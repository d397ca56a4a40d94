// What each keyword of a JSON schema lets through, and what is refused.
#include "common/grammar/json_schema.h"

#include "tests/common/grammar/fits.h"

namespace skein {
namespace {

using test::fits;
using Texts = std::vector<std::string>;

struct Case {
  const char* schema;
  Texts fitting;
  Texts other;
};

void expect_cases(const std::vector<Case>& cases) {
  for (const auto& [schema, fitting, other] : cases) {
    SCOPED_TRACE(schema);
    const auto grammar = grammar_of_schema(schema);
    ASSERT_TRUE(grammar) << to_string(grammar.error());
    for (const std::string& text : fitting) EXPECT_TRUE(fits(*grammar, text)) << text;
    for (const std::string& text : other) EXPECT_FALSE(fits(*grammar, text)) << text;
  }
}

TEST(JsonSchema, TypesAndAnyValue) {
  expect_cases({
      {R"({"type":"boolean"})", {"true", "false"}, {"null", "1", " true", "True"}},
      {R"({"type":"null"})", {"null"}, {"false", ""}},
      {R"({"type":"integer"})", {"0", "-5", "123"}, {"01", "1.5", "1e3", "-", "+1", ""}},
      {R"({"type":"number"})", {"0", "-5.25", "1e3", "2.5E-7"}, {"01", ".5", "1.", "1e", "NaN"}},
      {R"({"type":"string"})",
       {R"("")", R"("a b")", R"("\"\\\/\n\u00e9")", "\"\xC3\xA9\"", R"("\ud83d\ude00")"},
       {R"(")", R"("a)", R"('a')", "\"\n\"", R"("\x")", R"("\u12")", R"("\ud83d")", R"("\ude00")"}},
      {R"({"type":["integer","null"]})", {"7", "null"}, {"true", "7null"}},
      {R"({"type":["number","integer"]})", {"7", "7.5"}, {"a"}},
      {R"({"type":"integer","nullable":true})", {"7", "null"}, {"true"}},
      {R"({})",
       {"1", "null", R"("a")", "[]", R"({"a":[1,{}]})", "[1, 2,\n    3]"},
       {"", "[1,]", "{a:1}"}},
      {"true", {"1", "[true]"}, {""}},
      {R"({"type":"object"})",
       {"{}", "{ }", R"({"a":1,"b":{"c":[]}})", "{\n  \"a\": null\n}"},
       {"[]", R"({"a"})", R"({"a":1,})", R"({,"a":1})", "{}}", "{  }", R"({"a" :1})"}},
      {R"({"type":"array"})", {"[]", "[1,\"a\",[]]", "[\n  1\n]"}, {"{}", "[,]", "[1 2]"}},
      {R"({"title":"t","description":"d","default":1,"x-own":{},"$schema":"s","type":"null"})",
       {"null"},
       {}},
  });
}

TEST(JsonSchema, ValuesListedOneByOne) {
  expect_cases({
      {R"({"const":"a\"b"})", {R"("a\"b")"}, {R"("a")", "a"}},
      {R"({"enum":["red","green",null,7,1.5,true,[1,"x"],{"k":{}}]})",
       {R"("red")", R"("green")", "null", "7", "1.5", "true", R"([1,"x"])", R"({"k":{}})"},
       {"red", R"("blue")", "8", "false"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
      {R"({"type":["integer","null"],"enum":["a",1,1.5,null]})", {"1", "null"}, {"1.5", R"("a")"}},
      {R"({"const":5,"enum":[4,5]})", {"5"}, {"4"}},
  });
}

TEST(JsonSchema, ThousandsOfValuesAreAListNotAnAmbiguity) {
  std::string schema = R"({"enum":["a")";
  for (int i = 0; i < 8000; ++i) schema += ",\"item " + std::to_string(i) + "\"";
  const auto grammar = grammar_of_schema(schema + "]}");
  ASSERT_TRUE(grammar) << to_string(grammar.error());
  EXPECT_TRUE(fits(*grammar, R"("a")"));
  EXPECT_TRUE(fits(*grammar, R"("item 7")"));
  EXPECT_TRUE(fits(*grammar, R"("item 7999")"));
  EXPECT_FALSE(fits(*grammar, R"("item 8000")"));
}

TEST(JsonSchema, Strings) {
  expect_cases({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("abc")", R"("\n\n")", "\"\xC3\xA9\xE3\x81\x82\"", R"("\ud83d\ude00a")"},
       {R"("a")", R"("abcd")", "\"\xC3\xA9\"", R"("\ud83d\ude00")"}},
      {R"({"type":"string","minLength":1})", {R"("a")", R"("abcdef")"}, {R"("")"}},
      {R"({"type":"string","maxLength":100000})", {R"("")", R"("abc")"}, {}},
      {R"({"minLength":1})", {R"("a")"}, {"1"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-29")", R"("1999-12-31")", R"("2000-02-29")", R"("2023-04-30")"},
       {R"("2023-02-29")", R"("1900-02-29")", R"("2023-04-31")", R"("2023-13-01")",
        R"("2023-00-10")", R"("2023-1-01")", R"("2023-01-00")", R"("2023-01-32")"}},
      {R"({"type":"string","format":"time"})",
       {R"("23:59:59Z")", R"("00:00:00.123+02:00")"},
       {R"("24:00:00Z")", R"("12:60:00Z")", R"("12:00:00")", R"("12:00Z")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-02-29T12:30:00Z")", R"("2024-01-01T00:00:00.5-08:00")"},
       {R"("2024-02-29")", R"("2024-02-30T12:30:00Z")", R"("2024-02-29 12:30:00Z")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {R"("123e4567e89b12d3a456426614174000")", R"("g23e4567-e89b-12d3-a456-426614174000")"}},
      {R"({"format":"uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {"1"}},
      {R"({"type":"string","format":"email"})", {R"("anything")"}, {}},
  });
}

TEST(JsonSchema, Patterns) {
  expect_cases({
      {R"({"pattern":"^[a-c]+$"})", {R"("a")", R"("abc")"}, {R"("")", R"("ad")", "abc"}},
      {R"({"pattern":"^\\d{3}-\\w?$"})", {R"("123-")", R"("123-_")"}, {R"("12-")", R"("123-é")"}},
      {R"({"pattern":"b"})", {R"("b")", R"("abc")", R"("\nb\"")"}, {R"("")", R"("ac")"}},
      {R"({"pattern":"^a|b$"})", {R"("axx")", R"("xxb")"}, {R"("xa")", R"("bx")"}},
      {R"({"pattern":"^(?:ab|c){2,}?(?<n>d)$"})", {R"("abcd")", R"("ccccd")"}, {R"("cd")"}},
      {R"({"pattern":"^(a(b(c)?)?)*$"})", {R"("")", R"("aababc")"}, {R"("b")", R"("ac")"}},
      {R"({"pattern":"^.$"})",
       {R"("a")", "\"\xF0\x9F\x98\x80\"", R"("\"")", R"("\\")"},
       {R"("\n")", R"("")"}},
      {R"({"pattern":"^\\s\\S$"})", {R"(" a")", R"("\ta")", R"("\n\\")"}, {R"("a ")", R"("  ")"}},
      {R"({"pattern":"^[^\\d\\]a-]$"})",
       {R"("b")", R"("\n")", R"("\"")"},
       {R"("1")", R"("]")", R"("-")"}},
      {R"({"pattern":"^[-\\w.]+\\/\\x41\\u00e9\\u{1F600}\\uD83D\\uDE00\\.\\*$"})",
       {"\"a-b./A\xC3\xA9\xF0\x9F\x98\x80\xF0\x9F\x98\x80.*\""},
       {R"("a/A")"}},
      {R"({"pattern":"^\\f\\v\\0\\t[\\b\\n]$"})",
       {R"("\f\u000b\u0000\t\b")", R"("\f\u000b\u0000\t\n")"},
       {}},
      {R"({"pattern":"^a{,2}{x}$"})", {R"("a{,2}{x}")"}, {R"("aa")"}},
      {R"({"pattern":"^\\D\\W[\\s\\S]$"})", {R"("a-\n")", R"("- a")"}, {R"("1-a")", R"("aba")"}},
      {R"({"pattern":""})", {R"("")", R"("abc")"}, {"1"}},
  });
}

TEST(JsonSchema, Numbers) {
  expect_cases({
      {R"({"type":"integer","minimum":0})", {"0", "7", "1234567"}, {"-1", "-0", "1.0"}},
      {R"({"type":"integer","minimum":-3,"maximum":12})",
       {"-3", "-1", "0", "9", "12"},
       {"-4", "13", "00"}},
      {R"({"type":"integer","minimum":17,"maximum":1234})",
       {"17", "20", "99", "100", "999", "1000", "1234"},
       {"16", "9", "1235", "2000", "017"}},
      {R"({"type":"integer","exclusiveMinimum":5,"exclusiveMaximum":7})", {"6"}, {"5", "7"}},
      {R"({"type":"integer","minimum":0.5,"maximum":2.5})", {"1", "2"}, {"0", "3"}},
      {R"({"type":"integer","minimum":-2.5,"maximum":-0.5})", {"-2", "-1"}, {"-3", "0"}},
      {R"({"type":"integer","maximum":-10})", {"-10", "-11", "-99999"}, {"-9", "0", "10"}},
      {R"({"type":"integer","minimum":0,"maximum":18446744073709551615})",
       {"0", "9999999999999999"},
       {"-1"}},
      {R"({"type":"integer","minimum":5,"exclusiveMinimum":5,"maximum":6})", {"6"}, {"5"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "1", "0.0", "0.5", "0.999", "1.0", "1.00"},
       {"-0.1", "1.01", "2", "1e0", "00.5"}},
      {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
       {"0.1", "0.001", "0.999"},
       {"0", "0.0", "1", "1.0", "-0.5"}},
      {R"({"type":"number","minimum":-1.25,"maximum":2.5})",
       {"-1.25", "-1.2", "-1", "-0.5", "0", "1.999", "2.5", "2.50", "2.49"},
       {"-1.26", "-1.3", "-2", "2.51", "2.6", "3"}},
      {R"({"type":"number","minimum":1.25,"exclusiveMaximum":1.5})",
       {"1.25", "1.3", "1.49", "1.250"},
       {"1.2", "1.24", "1.5", "1.50", "1", "2"}},
      {R"({"minimum":100})", {"100", "100.5", "2000"}, {"99.9", "5"}},
      {R"({"type":"number","maximum":-0.5})", {"-0.5", "-0.51", "-3"}, {"-0.49", "0", "0.6"}},
      {R"({"type":"number","minimum":3,"maximum":3})", {"3", "3.0"}, {"3.1", "2.9"}},
  });
}

TEST(JsonSchema, Arrays) {
  expect_cases({
      {R"({"type":"array","items":{"type":"integer"}})",
       {"[]", "[1]", "[1, 2,\n 3]"},
       {"[\"a\"]", "[1,]"}},
      {R"({"items":{"const":1},"minItems":2,"maxItems":3})",
       {"[1,1]", "[1,1,1]"},
       {"[]", "[1]", "[1,1,1,1]"}},
      {R"({"type":"array","items":{"const":1},"maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","items":{"const":1},"maxItems":1})", {"[]", "[1]"}, {"[1,1]"}},
      {R"({"type":"array","minItems":1})", {"[null]", "[1,2]"}, {"[]"}},
      {R"({"type":"array","items":false})", {"[]", "[ ]"}, {"[1]"}},
      {R"({"prefixItems":[{"const":1},{"const":2}]})",
       {"[1,2]"},
       {"[]", "[1]", "[1,2,3]", "[2,1]"}},
      {R"({"prefixItems":[{"const":1},{"const":2}],"items":{"const":3}})",
       {"[1,2]", "[1,2,3]", "[1,2,3,3]"},
       {"[1]", "[1,2,2]"}},
      {R"({"prefixItems":[{"const":1},{"const":2}],"minItems":0})",
       {"[]", "[1]", "[1,2]"},
       {"[2]"}},
      {R"({"prefixItems":[{"const":1},{"const":2}],"minItems":1,"maxItems":1})",
       {"[1]"},
       {"[]", "[1,2]"}},
      {R"({"prefixItems":[{"const":1}],"items":{"const":2},"minItems":3,"maxItems":4})",
       {"[1,2,2]", "[1,2,2,2]"},
       {"[1,2]", "[1,2,2,2,2]"}},
      {R"({"prefixItems":[{"const":1}],"minItems":2})", {"[1,null]", "[1,[],{}]"}, {"[1]"}},
      {R"({"items":[{"const":1},{"const":2}],"additionalItems":{"const":3}})",
       {"[1,2,3]"},
       {"[1,3]"}},
  });
}

TEST(JsonSchema, Objects) {
  expect_cases({
      {R"({"properties":{"a":{"const":1},"b":{"const":2}},"required":["a","b"]})",
       {R"({"a":1,"b":2})", "{ \"a\": 1, \"b\": 2 }", "{\n\t\"a\": 1,\n\t\"b\": 2\n}"},
       {R"({"b":2,"a":1})", R"({"a":1})", "{}", R"({"a":1,"b":2,"c":3})"}},
      {R"({"properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},"required":["b"]})",
       {R"({"b":2})", R"({"a":1,"b":2})", R"({"b":2,"c":3})", R"({"a":1,"b":2,"c":3})"},
       {"{}", R"({"a":1})", R"({"a":1,"c":3})", R"({"c":3,"b":2})", R"({"b":2,})"}},
      {R"({"properties":{"a":{"const":1},"b":{"const":2}}})",
       {"{}", R"({"a":1})", R"({"b":2})", R"({"a":1,"b":2})"},
       {R"({"a":1,"a":1})", R"({,"b":2})"}},
      {R"({"type":"object","properties":{}})", {"{}"}, {R"({"a":1})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       {"{}", R"({"x":1,"y":2})"},
       {R"({"x":"a"})"}},
      {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"properties":{"ab":{"const":1},"a\"c":{"const":2}},"additionalProperties":{"const":3}})",
       {R"({"ab":1,"a\"c":2,"abc":3})", R"({"a":3,"":3,"b":3})", R"({"abb":3,"é":3})", "{}"},
       {R"({"ab":3})", R"({"a":1})", R"({"x":3,"ab":1})", R"({"\u0061b":3})", R"({"a\"c":3})"}},
      {R"({"properties":{"a":{"const":1}},"required":["a"],"additionalProperties":true})",
       {R"({"a":1})", R"({"a":1,"b":[{}]})"},
       {R"({"b":1})", R"({"a":2})"}},
      {R"({"required":["k"]})", {R"({"k":null})"}, {"{}"}},
      {R"({"type":"object","required":["k"],"additionalProperties":{"const":1}})",
       {R"({"k":1})", R"({"k":1,"l":1})"},
       {"{}"}},
      {R"({"properties":{"a":false,"b":{"const":1}}})", {"{}", R"({"b":1})"}, {R"({"a":1})"}},
      {R"({"properties":{"a/b~":{"$ref":"#/properties/c~1d"},"c/d":{"const":1}}})",
       {R"({"a/b~":1})"},
       {}},
  });
}

TEST(JsonSchema, CombinedSchemas) {
  expect_cases({
      {R"({"anyOf":[{"type":"integer"},{"const":"x"},false]})", {"1", R"("x")"}, {"null"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"null"}],"description":"d"})",
       {"1", "null"},
       {R"("x")"}},
      {R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"null"}}})", {"null"}, {"1"}},
      {R"({"definitions":{"t":{"const":1}},"type":"array","items":{"$ref":"#/definitions/t"}})",
       {"[1,1]"},
       {"[2]"}},
      {R"({"properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},
          "required":["v","next"]})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1,"next":1})"}},
      {R"({"allOf":[{"$ref":"#/$defs/b"}],"title":"t","$defs":{"b":{"const":1}}})", {"1"}, {"2"}},
      {R"({"allOf":[{"properties":{"a":{"const":1}},"required":["a"]},
          {"properties":{"b":{"const":2}}}],
           "properties":{"c":{"const":3}},"required":["c"]})",
       {R"({"a":1,"c":3})", R"({"a":1,"b":2,"c":3})"},
       {R"({"a":1})", R"({"c":3,"a":1})"}},
      {R"({"type":"object","properties":{"z":{"const":0}},"allOf":[{"$ref":"#/$defs/b"}],
          "$defs":{"b":{"properties":{"a":{"const":1}},"required":["a"]}}})",
       {R"({"z":0,"a":1})", R"({"a":1})"},
       {R"({"a":1,"z":0})"}},
      {R"({"allOf":[{"type":"integer"},{"minimum":3},{"minimum":5},{"maximum":9},
          {"type":["number","string"]}]})",
       {"5", "9"},
       {"4", "10", "5.5"}},
      {R"({"allOf":[{"properties":{"a":{"type":"integer"}}},{"properties":{"a":{"minimum":5},
          "b":{}},"additionalProperties":false}]})",
       {R"({"a":5})", R"({"b":{}})"},
       {R"({"a":4})"}},
      {R"({"allOf":[{"properties":{"a":{"const":1}},"additionalProperties":false},
          {"properties":{"b":{"const":2}}}]})",
       {"{}", R"({"a":1})"},
       {R"({"b":2})"}},
      {R"({"properties":{"k":{"const":"a"},"v":{}},"required":["k"],
          "anyOf":[{"properties":{"v":{"const":1}},"required":["v"]},
          {"properties":{"w":{"const":2}}}]})",
       {R"({"k":"a","v":1})", R"({"k":"a","w":2})", R"({"k":"a","v":null})"},
       {R"({"v":1})"}},
      {R"({"allOf":[{"enum":["a","b",3]},{"enum":[3,"b","c"]}]})", {R"("b")", "3"}, {R"("a")"}},
      {R"({"$ref":"#/$defs/s","maxLength":2,"$defs":{"s":{"type":"string","minLength":1}}})",
       {R"("a")", R"("ab")"},
       {R"("")", R"("abc")"}},

  });
}

}  // namespace
}  // namespace skein
