// GrammarState beside a matcher of another kind, and at its limits.
#include "common/grammar/grammar_state.h"

#include <set>

#include "tests/common/grammar/fits.h"

namespace skein {
namespace {

using test::fits;
using test::grammar_of;

// A random grammar without recursion, as GBNF and as a matcher that tries everything: the set of
// places where a match that begins at one place may end.
class RandomGrammar {
 public:
  explicit RandomGrammar(std::uint64_t seed) : random_(seed) {
    for (int rule = 0; rule < 4; ++rule) bodies_.push_back(make(3, rule));
  }

  std::string gbnf() const {
    std::string text;
    for (std::size_t rule = 0; rule < bodies_.size(); ++rule) {
      text +=
          (rule == 0 ? "root" : "r" + std::to_string(rule)) + " ::= " + print(bodies_[rule]) + "\n";
    }
    return text;
  }
  bool fits(const std::string& text) const {
    return ends(bodies_[0], text, {0}).contains(text.size());
  }

 private:
  struct Part {
    char kind;  // t(ext) c(lass) s(equence) o(r) *(repeat) r(ule)
    std::string text;
    std::vector<Part> parts;
    int least = 0;
    int most = 0;  // -1: no limit
  };
  using Places = std::set<std::size_t>;

  Part make(int depth, int rule) {
    const auto pick = random_() % (depth == 0 ? 2 : 6);
    if (pick == 0) return {'t', kTexts[random_() % std::size(kTexts)], {}};
    if (pick == 1) return {'c', kClasses[random_() % std::size(kClasses)], {}};
    if (pick == 2 && rule < 3) {
      return {'r',
              std::to_string(rule + 1 +
                             static_cast<int>(random_() % (3U - static_cast<unsigned>(rule)))),
              {}};
    }
    if (pick <= 4) {
      Part made{pick == 3 ? 's' : 'o', "", {}};
      for (std::uint64_t n = 1 + random_() % 3; n > 0; --n)
        made.parts.push_back(make(depth - 1, rule));
      return made;
    }
    Part made{'*', "", {make(depth - 1, rule)}};
    made.least = static_cast<int>(random_() % 3);
    made.most = random_() % 2 == 0 ? -1 : made.least + static_cast<int>(random_() % 3);
    return made;
  }

  static std::string print(const Part& part) {
    switch (part.kind) {
      case 't':
        return "\"" + part.text + "\"";
      case 'c':
        return "[" + part.text + "]";
      case 'r':
        return "r" + part.text;
      case '*':
        return "(" + print(part.parts[0]) + "){" + std::to_string(part.least) +
               (part.most == part.least ? ""
                : part.most < 0         ? ","
                                        : "," + std::to_string(part.most)) +
               "}";
      default: {
        std::string all = "(";
        for (std::size_t i = 0; i < part.parts.size(); ++i) {
          all += (i == 0 ? "" : part.kind == 'o' ? " | " : " ") + print(part.parts[i]);
        }
        return all + ")";
      }
    }
  }

  Places ends(const Part& part, const std::string& text, const Places& begins) const {
    Places found;
    switch (part.kind) {
      case 't':
        for (const std::size_t at : begins) {
          if (text.substr(at).starts_with(part.text)) found.insert(at + part.text.size());
        }
        return found;
      case 'c':
        for (const std::size_t at : begins) {
          for (const std::string character : {"a", "b", "\xC3\xA9"}) {
            const bool in_class =
                (part.text.find(character) != std::string::npos) != part.text.starts_with('^');
            if (in_class && text.substr(at).starts_with(character))
              found.insert(at + character.size());
          }
        }
        return found;
      case 'r':
        return ends(bodies_[static_cast<std::size_t>(std::stoi(part.text))], text, begins);
      case 's':
        found = begins;
        for (const Part& each : part.parts) found = ends(each, text, found);
        return found;
      case 'o':
        for (const Part& each : part.parts) found.merge(ends(each, text, begins));
        return found;
      default: {
        Places now = begins;
        for (int i = 0; i < part.least; ++i) now = ends(part.parts[0], text, now);
        found = now;
        for (int i = part.least; part.most < 0 ? i < 12 : i < part.most; ++i) {
          now = ends(part.parts[0], text, now);
          found.insert(now.begin(), now.end());
        }
        return found;
      }
    }
  }

  static constexpr const char* kTexts[] = {"a", "b", "ab", "ba", "\xC3\xA9", ""};
  static constexpr const char* kClasses[] = {"a", "ab", "^a", "^b", "b\xC3\xA9", "^\xC3\xA9"};
  std::mt19937_64 random_;
  std::vector<Part> bodies_;
};

std::vector<std::string> all_texts(std::size_t longest) {
  std::vector<std::string> texts = {""};
  for (std::size_t first = 0, length = 0; length < longest; ++length) {
    const std::size_t last = texts.size();
    for (; first < last; ++first) {
      for (const char* character : {"a", "b", "\xC3\xA9"})
        texts.push_back(texts[first] + character);
    }
  }
  return texts;
}

TEST(GrammarState, AgreesWithAMatcherThatTriesEverything) {
  const std::vector<std::string> texts = all_texts(5);
  int fitting = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const RandomGrammar random(seed);
    SCOPED_TRACE(random.gbnf());
    const auto grammar = Grammar::parse(random.gbnf());
    ASSERT_TRUE(grammar) << to_string(grammar.error());
    for (const std::string& text : texts) {
      GrammarState state(*grammar);
      const bool fits = state.accept(text).has_value() && state.may_end();
      ASSERT_EQ(fits, random.fits(text)) << text;
      fitting += fits ? 1 : 0;
    }
  }
  EXPECT_GT(fitting, 1000);
}

TEST(GrammarState, TellsWhichBytesMayFollow) {
  GrammarState state(grammar_of("root ::= \"x\" [\xC3\xA9\xE3\x81\x82] \"y\"?"));
  const auto following = [&state] {
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) {
      if (state.may_follow(static_cast<unsigned char>(byte))) bytes += static_cast<char>(byte);
    }
    return bytes;
  };
  EXPECT_EQ(following(), "x");
  EXPECT_TRUE(state.accept("x"));
  EXPECT_EQ(following(), "\xC3\xE3");
  EXPECT_TRUE(state.accept("\xC3"));  // half a character
  EXPECT_FALSE(state.may_end());
  EXPECT_EQ(following(), "\xA9");
  EXPECT_TRUE(state.accept("\xA9"));
  EXPECT_TRUE(state.may_end() && state.may_go_on());
  EXPECT_EQ(following(), "y");
  EXPECT_TRUE(state.accept("y"));
  EXPECT_TRUE(state.may_end());
  EXPECT_FALSE(state.may_go_on());
}

TEST(GrammarState, NamesTheByteThatDoesNotFollowAndStandsBeforeIt) {
  GrammarState state(grammar_of("root ::= \"abc\""));
  const auto refused = state.accept("abx");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kRefused);
  EXPECT_EQ(refused.error().where, "byte 2");
  EXPECT_TRUE(state.accept("c"));
  EXPECT_TRUE(state.may_end());
}

TEST(GrammarState, NestsToItsLimitAndNoDeeper) {
  GrammarState state(grammar_of("root ::= \"(\" root \")\" | \"\""));
  const auto opened = state.accept(std::string(kMaxGrammarDepth + 1, '('));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kUnsupported);
  EXPECT_NE(opened.error().what.find("1024"), std::string::npos);
  EXPECT_TRUE(state.accept(std::string(kMaxGrammarDepth, ')')));
  EXPECT_TRUE(state.may_end());
}

TEST(GrammarState, RefusesATextThatCanBeReadInTooManyWays) {
  // After n times "a" it has begun any of n counted groups.
  GrammarState state(grammar_of("root ::= [ab]* (\"a\" [ab]{5000}) \"c\""));
  const auto refused = state.accept(std::string(5000, 'a'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_NE(refused.error().what.find("4096"), std::string::npos);
}

TEST(GrammarState, ListsThatEndWithThemselvesDoNotNest) {
  const Grammar grammar = grammar_of("root ::= [0-9] tail\ntail ::= \",\" root | \"\"");
  GrammarState state(grammar);
  std::string text = "1";
  for (int i = 0; i < 100'000; ++i) text += ",2";
  EXPECT_TRUE(state.accept(text));
  EXPECT_TRUE(state.may_end());
}

TEST(GrammarState, ForgettingStatesChangesNothing) {
  // Every count is a state of its own: far more than are kept.
  const Grammar grammar = grammar_of("root ::= (\"<\" [ab]{0,16000} \">\")*");
  GrammarState state(grammar);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(state.accept("<"));
    for (int i = 0; i < 16000; ++i) ASSERT_TRUE(state.accept(i % 3 == 0 ? "a" : "b"));
    EXPECT_FALSE(state.may_follow('a'));
    ASSERT_TRUE(state.accept(">"));
    EXPECT_TRUE(state.may_end());
  }
}

}  // namespace
}  // namespace skein
