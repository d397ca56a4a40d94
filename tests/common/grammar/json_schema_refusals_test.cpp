// Schemas that are refused: each with its place and a remedy, never silently read as something
// else.
#include <gtest/gtest.h>

#include "common/grammar/json_schema.h"

namespace skein {
namespace {

struct Case {
  std::string schema;
  Errc code;
  const char* what;
  const char* where;
};

void expect_refused(const std::vector<Case>& cases) {
  for (const auto& [schema, code, what, where] : cases) {
    SCOPED_TRACE(schema.substr(0, 200));
    const auto refused = grammar_of_schema(schema);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, code) << to_string(refused.error());
    EXPECT_NE(refused.error().what.find(what), std::string::npos) << refused.error().what;
    EXPECT_TRUE(refused.error().where.starts_with(where)) << refused.error().where;
    EXPECT_FALSE(refused.error().remedy.empty());
  }
}

TEST(JsonSchemaRefusals, NameTheKeywordThatIsNotRead) {
  for (const char* keyword : {"not",
                              "if",
                              "then",
                              "else",
                              "contains",
                              "minContains",
                              "maxContains",
                              "uniqueItems",
                              "multipleOf",
                              "patternProperties",
                              "propertyNames",
                              "minProperties",
                              "maxProperties",
                              "dependentRequired",
                              "dependentSchemas",
                              "dependencies",
                              "unevaluatedProperties",
                              "unevaluatedItems",
                              "$dynamicRef",
                              "$recursiveRef"}) {
    const std::string schema = std::string(R"({"properties":{"a":{")") + keyword + R"(":1}}})";
    expect_refused({{schema, Errc::kUnsupported, keyword, "#/properties/a"}});
  }
  EXPECT_TRUE(grammar_of_schema(
      R"({"uniqueItems":false,"minProperties":0,"unevaluatedProperties":true,"$anchor":"a"})"));
}

TEST(JsonSchemaRefusals, WhatIsNoSchema) {
  constexpr Errc kCorrupt = Errc::kCorrupt;
  expect_refused({
      {"", kCorrupt, "not JSON", "JSON schema"},
      {"{", kCorrupt, "not JSON", "JSON schema"},
      {"5", kCorrupt, "a schema is an object", "#"},
      {"false", kCorrupt, "nothing fits", "#"},
      {R"({"properties":{"a":[]}})", kCorrupt, "a schema is an object", "#/properties/a"},
      {R"({"type":"text"})", kCorrupt, "\"type\" must be", "#"},
      {R"({"type":[]})", kCorrupt, "empty list", "#"},
      {R"({"type":5})", kCorrupt, "\"type\" must be", "#"},
      {R"({"enum":5})", kCorrupt, "\"enum\" must be", "#"},
      {R"({"const":{"a":[1e999]}})", kCorrupt, "too large", "#"},
      {R"({"enum":[]})", kCorrupt, "no value fits", "#"},
      {R"({"type":"null","enum":[1]})", kCorrupt, "no value fits", "#"},
      {R"({"anyOf":[]})", kCorrupt, "\"anyOf\" must be", "#"},
      {R"({"oneOf":[false]})", kCorrupt, "nothing fits", "#"},
      {R"({"allOf":5})", kCorrupt, "\"allOf\" must be", "#"},
      {R"({"nullable":1,"type":"null"})", kCorrupt, "\"nullable\"", "#"},
      {R"({"$ref":5})", kCorrupt, "\"$ref\" must be", "#"},
      {R"({"$ref":"#/$defs/none"})", kCorrupt, "leads nowhere", "#"},
      {R"({"type":"string","minLength":-1})", kCorrupt, "\"minLength\" must be", "#"},
      {R"({"type":"string","minLength":1.5})", kCorrupt, "\"minLength\" must be", "#"},
      {R"({"type":"string","minLength":3,"maxLength":2})", kCorrupt, "leave nothing", "#"},
      {R"({"type":"string","pattern":5})", kCorrupt, "\"pattern\" must be", "#"},
      {R"({"type":"array","minItems":3,"maxItems":2})", kCorrupt, "leave nothing", "#"},
      {R"({"prefixItems":[{}],"items":false,"minItems":2})", kCorrupt, "leave nothing", "#"},
      {R"({"prefixItems":5})", kCorrupt, "\"prefixItems\" must be", "#"},
      {R"({"prefixItems":[{}],"items":[{}]})", kCorrupt, "\"items\" beside", "#"},
      {R"({"properties":5})", kCorrupt, "\"properties\" must be", "#"},
      {R"({"required":"a"})", kCorrupt, "\"required\" must be", "#"},
      {R"({"required":[1]})", kCorrupt, "\"required\" must be", "#"},
      {R"({"required":["a"],"additionalProperties":false})", kCorrupt, "\"a\" is required", "#"},
      {R"({"properties":{"a":false},"required":["a"]})", kCorrupt, "\"a\" is required", "#"},
      {R"({"type":"integer","minimum":"0"})", kCorrupt, "\"minimum\" must be", "#"},
      {R"({"type":"integer","exclusiveMinimum":true})", kCorrupt, "\"exclusiveMinimum\"", "#"},
      {R"({"type":"integer","minimum":3,"maximum":2})", kCorrupt, "leave nothing", "#"},
      {R"({"type":"integer","minimum":0.1,"maximum":0.9})", kCorrupt, "leave nothing", "#"},
      {R"({"type":"number","exclusiveMinimum":1,"maximum":1})", kCorrupt, "leave nothing", "#"},
      {R"({"allOf":[{"enum":["a"]},{"enum":["b"]}]})", kCorrupt, "no value fits", "#"},
      {R"({"allOf":[{"type":"string"},{"type":"null"}]})", kCorrupt, "no type fits", "#"},
      {R"({"$ref":"#"})", kCorrupt, "begins with itself", "JSON schema"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", kCorrupt, "begins with itself", "JSON"},
      {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", kCorrupt, "can never end", "JSON"},
  });
}

TEST(JsonSchemaRefusals, WhatIsNotReadTogether) {
  constexpr Errc kUnsupported = Errc::kUnsupported;
  expect_refused({
      {R"({"type":"string","minLength":1,"pattern":"a"})", kUnsupported, "two of a length", "#"},
      {R"({"type":"string","format":"date","pattern":"a"})", kUnsupported, "two of", "#"},
      {R"({"enum":["a"],"minLength":1})", kUnsupported, "beside \"enum\"", "#"},
      {R"({"anyOf":[{}],"oneOf":[{}]})", kUnsupported, "beside \"oneOf\"", "#"},
      {R"({"$ref":"http://x/y"})", kUnsupported, "is not read", "#"},
      {R"({"$ref":"#name"})", kUnsupported, "is not read", "#"},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})", kUnsupported, "\"pattern\" of two", "#"},
      {R"({"allOf":[{"anyOf":[{}]},{"anyOf":[true,{}]}]})", kUnsupported, "\"anyOf\" of two", "#"},
      {R"({"type":"integer","minimum":1e17})", kUnsupported, "more than 16 digits", "#"},
      {R"({"type":"number","maximum":-1e300})", kUnsupported, "more than 16 digits", "#"},
      {R"({"type":"number","minimum":1e-300})", kUnsupported, "more than 30 digits", "#"},
  });
}

TEST(JsonSchemaRefusals, PatternsThatAreNotRead) {
  const std::tuple<const char*, Errc, const char*> cases[] = {
      {"(?=a)", Errc::kUnsupported, "looking ahead"},
      {"(?!a)", Errc::kUnsupported, "looking ahead"},
      {"(?<=a)", Errc::kUnsupported, "looking ahead"},
      {"(?<!a)", Errc::kUnsupported, "looking ahead"},
      {"(a)\\\\1", Errc::kUnsupported, "reference to a group"},
      {"\\\\bword", Errc::kUnsupported, "escape \\b"},
      {"\\\\p{L}", Errc::kUnsupported, "escape \\p"},
      {"a^b", Errc::kUnsupported, "^ and $"},
      {"a$b", Errc::kUnsupported, "^ and $"},
      {"(^a)", Errc::kUnsupported, "^ and $"},
      {"[]", Errc::kUnsupported, "no character"},
      {"a{20000}", Errc::kUnsupported, "repetitions"},
      {"\\\\uD83D", Errc::kUnsupported, "no character"},
      {"(a", Errc::kCorrupt, "never closed"},
      {"a)", Errc::kCorrupt, "without its ("},
      {"[a", Errc::kCorrupt, "never closed"},
      {"[z-a]", Errc::kCorrupt, "backwards"},
      {"[a-\\\\d]", Errc::kCorrupt, "single character"},
      {"*a", Errc::kCorrupt, "nothing to repeat"},
      {"a**", Errc::kCorrupt, "nothing to repeat"},
      {"a{3,2}", Errc::kCorrupt, "most is below"},
      {"\\\\", Errc::kCorrupt, "backslash ends"},
      {"\\\\x4", Errc::kCorrupt, "hexadecimal"},
      {"\\\\u{41", Errc::kCorrupt, "never closed"},
      {"(?<n", Errc::kUnsupported, "looking ahead"},
  };
  for (const auto& [pattern, code, what] : cases) {
    expect_refused({{std::string(R"({"properties":{"p":{"pattern":")") + pattern + R"("}}})", code,
                     what, "#/properties/p/pattern, character "}});
  }
}

TEST(JsonSchemaRefusals, LongNamesAreCutWhereTheyAreShown) {
  const std::string name(5000, 'n');
  const auto refused =
      grammar_of_schema(R"({"properties":{")" + name + R"(":{"properties":{"b":{"not":{}}}}}})");
  ASSERT_FALSE(refused);
  EXPECT_LT(refused.error().where.size(), 300U);
}

TEST(JsonSchemaRefusals, LimitsAreReachedAndNamed) {
  std::string deep = "{}";
  for (std::size_t i = 0; i < kMaxSchemaDepth; ++i) deep = R"({"items":)" + deep + "}";
  // Every alternative holds the base once more: 4^20 of them.
  std::string many = R"({"properties":{"x":{}}})";
  for (int i = 0; i < 20; ++i) {
    many = R"({"properties":{"a":)" + many +
           R"(},"anyOf":[{"required":["a"]},{},true,{"title":"t"}]})";
  }
  std::string strings;
  for (int i = 0; i < 40; ++i) {
    strings += (i == 0 ? "" : ",") + std::string(R"("p)") + std::to_string(i) +
               R"(":{"maxLength":)" + std::to_string(10000 + i) + "}";
  }
  std::string alternatives = "{}";
  for (int i = 0; i < 1000; ++i) alternatives += ",{}";
  const std::string groups = std::string(101, '(') + "a" + std::string(101, ')');
  constexpr Errc kUnsupported = Errc::kUnsupported;
  expect_refused({
      {R"({"title":")" + std::string(kMaxSchemaBytes, 'x') + "\"}", kUnsupported, "bytes", "JSON"},
      {deep, kUnsupported, "nested deeper than 64", "JSON schema"},
      {many, kUnsupported, "200000 values", "#"},
      {R"({"properties":{)" + strings + "}}", kUnsupported, "too large", "JSON schema"},
      {R"({"pattern":")" + groups + "\"}", kUnsupported, "nested deeper", "#/pattern"},
      {R"({"properties":{"p":{"pattern":")" + std::string(30000, 'a') + "\"}}}", kUnsupported,
       "200000 values", "#/properties/p"},
      {R"({"additionalProperties":{},"properties":{")" + std::string(30000, 'a') + R"(":{}}})",
       kUnsupported, "200000 values", "#/additionalProperties"},
      {R"({"enum":[")" + std::string(100000, 'x') + R"("],"anyOf":[)" + alternatives + "]}",
       kUnsupported, "200000 values", "#"},
      {R"({"type":"string","minLength":16385})", kUnsupported, "16384", "#"},
      {R"({"allOf":[{"$ref":"#"},{"type":"null"}]})", kUnsupported, "without end", "#"},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"properties":{"b":{"$ref":"#/$defs/a",
          "minItems":1}}}}})",
       kUnsupported, "within each other", "#"},
  });
}

}  // namespace
}  // namespace skein
