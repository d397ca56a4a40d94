// skein generate and chat: texts that follow a grammar or a schema, stop texts, the sampler's
// options.
#include <boost/json/parse.hpp>

#include "tests/edge_node/tool/tool_world.h"

namespace skein {
namespace {

class Constrained : public test::ModelCommands {
 protected:
  std::string file(const std::string& name, std::string_view text) {
    return bench_.write(name, as_bytes(text));
  }
  std::string generate(std::vector<std::string> more, const std::string& prompt = "the") {
    std::vector<std::string> words = {"generate", artifact_, "-p", prompt, "-n", "200"};
    words.insert(words.end(), more.begin(), more.end());
    std::string out = run(words);
    EXPECT_TRUE(out.ends_with("\n"));
    out.pop_back();
    return out;
  }
};

TEST_F(Constrained, TextFollowsAGrammarToItsEnd) {
  const std::string grammar =
      file("g.gbnf", "root ::= \"<\" [a-c]{2} n \">\"\nn ::= [0-9] [0-9]\n");
  for (const char* seed : {"1", "2", "3"}) {
    const std::string text = generate({"--grammar", grammar, "--seed", seed});
    ASSERT_EQ(text.size(), 6U) << text;
    EXPECT_EQ(text[0], '<');
    EXPECT_EQ(text.find_first_not_of("abc", 1), 3U) << text;
    EXPECT_EQ(text.find_first_not_of("0123456789", 3), 5U) << text;
  }
}

TEST_F(Constrained, TextFitsASchema) {
  const std::string schema = file("s.json", R"({"type":"object","properties":{
      "place":{"enum":["dock","gate"]},"level":{"type":"integer","minimum":0,"maximum":100}},
      "required":["place","level"]})");
  const auto value = boost::json::parse(generate({"--json-schema", schema}));
  EXPECT_LE(value.at("level").to_number<int>(), 100);
  EXPECT_TRUE(value.at("place") == "dock" || value.at("place") == "gate");
}

TEST_F(Constrained, EveryAnswerOfAChatBeginsAnew) {
  const std::string grammar = file("g.gbnf", "root ::= \"[\" [ab]{3} \"]\"");
  const std::string out = run({"chat", artifact_, "--grammar", grammar, "--seed", "4"}, "x\ny\n\n");
  ASSERT_EQ(out.size(), 12U) << out;
  EXPECT_EQ(out[0], '[');
  EXPECT_EQ(out.substr(4, 3), "]\n[");
  EXPECT_EQ(out.substr(10), "]\n");
}

TEST_F(Constrained, StopsBeforeTheFirstOfTheStopTexts) {
  const std::string whole = generate({"--temperature", "0"});
  ASSERT_GT(whole.size(), 12U);
  const std::string early = whole.substr(3, 2);
  const std::string late = whole.substr(8, 3);
  EXPECT_EQ(generate({"--temperature", "0", "--stop", late, "--stop", early}),
            whole.substr(0, whole.find(early)));
  EXPECT_EQ(generate({"--temperature", "0", "--stop", "no such text"}), whole);
}

TEST_F(Constrained, TheSamplersOptionsReachIt) {
  const std::string plain = generate({"--temperature", "0"});
  EXPECT_EQ(generate({"--top-k", "1", "--seed", "5"}), plain);
  EXPECT_EQ(generate({"--min-p", "1", "--seed", "5"}), plain);
  EXPECT_NE(generate({"--temperature", "0", "--repetition-penalty", "3"}), plain);
  EXPECT_EQ(generate({"--temperature", "0", "--repetition-penalty", "3", "--repeat-last-n", "0"}),
            plain);
  EXPECT_NE(generate({"--temperature", "0", "--frequency-penalty", "2"}), plain);
  EXPECT_NE(generate({"--temperature", "0", "--presence-penalty", "2"}), plain);
}

TEST_F(Constrained, BadInputIsNamed) {
  const std::string grammar = file("bad.gbnf", "root ::= x\n");
  const std::string schema = file("bad.json", R"({"properties":{"a":{"not":{}}}})");
  const std::string good = file("good.gbnf", "root ::= .");
  const auto refused = [&](const std::vector<std::string>& more, int code,
                           const std::string& part) {
    std::vector<std::string> words = {"generate", artifact_, "-p", "a"};
    words.insert(words.end(), more.begin(), more.end());
    expect_refused(words, code, part);
  };
  refused({"--grammar", grammar}, 3, "bad.gbnf, line 1, column 10");
  refused({"--json-schema", schema}, 3, "bad.json, #/properties/a");
  refused({"--grammar", bench_.path("none")}, 3, "none");
  refused({"--grammar", good, "--json-schema", schema}, 2, "--grammar");
  refused({"--min-p", "2"}, 2, "--min-p");
  refused({"--repetition-penalty", "0"}, 2, "--repetition-penalty");
  refused({"--frequency-penalty", "nan"}, 2, "--frequency-penalty");
  refused({"--presence-penalty", "-2.5"}, 2, "--presence-penalty");
  refused({"--repeat-last-n", "65537"}, 2, "--repeat-last-n");
  refused({"--stop", std::string(257, 'x')}, 2, "--stop");
}

}  // namespace
}  // namespace skein
