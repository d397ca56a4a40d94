#include "edge_node/generate/generator.h"

#include <gtest/gtest.h>

#include "tests/edge_node/golden_model.h"

namespace skein {
namespace {

// Says the ids it was given, one after another.
class RecitingSession final : public Session {
 public:
  explicit RecitingSession(std::vector<TokenId> ids) : ids_(std::move(ids)) {}
  Task<Result<TokenId>> next(std::vector<TokenId> ids) override {
    fed.insert(fed.end(), ids.begin(), ids.end());
    if (at_ == ids_.size()) co_return fail(Errc::kUnavailable, "no more ids");
    co_return ids_[at_++];
  }
  std::string_view kind() const override { return "local"; }
  Runner::Counters counters() const override { return {}; }
  Task<Result<void>> read(std::vector<TokenId> ids) override {
    fed.insert(fed.end(), ids.begin(), ids.end());
    co_return Result<void>{};
  }
  void mark() override {
    ++marks;
    marked_ = fed;
  }
  void rewind() override { fed = marked_; }
  std::vector<TokenId> fed;
  int marks = 0;

 private:
  std::vector<TokenId> ids_;
  std::vector<TokenId> marked_;
  std::size_t at_ = 0;
};

struct Heard {
  Result<void> ended = fail(Errc::kUsage, "");
  Answer answer;
  std::vector<std::string> pieces;
  std::string text() const {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
  }
};

class Generator : public testing::Test {
 protected:
  Heard hear(Session& session, GenerateRequest request, std::size_t gone_after = 1000) {
    Heard heard;
    Asker asker;
    asker.on_text = [&heard](std::string text) -> Task<Result<void>> {
      heard.pieces.push_back(std::move(text));
      co_return Result<void>{};
    };
    std::size_t asked = 0;
    asker.is_gone = [&asked, gone_after] { return asked++ >= gone_after; };
    heard.ended = real_.run(generate(real_.env(), session, *tokenizer_, std::move(request),
                                     std::move(asker), heard.answer));
    return heard;
  }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  std::unique_ptr<Tokenizer> tokenizer_ =
      Tokenizer::parse(
          "1 'Hel' 3\n2 'lo' 2\n3 b'\\xc3' 1\n4 b'\\xa9' 1\n5 '\\n' 1\n6 '\\nUs' 3\n"
          "7 'er:' 3\n8 ' ' 1\n9 'l' 1\n")
          .value();
};

TEST_F(Generator, StreamsWholeCharactersAndStopsAtEndOfText) {
  RecitingSession session({1, 2, 3, 4, kEndOfText, 1});
  const Heard heard = hear(session, {.prompt = {8}, .max_tokens = 10, .stops = {}});
  EXPECT_EQ(heard.pieces, (std::vector<std::string>{"Hel", "lo", "\xC3\xA9"}));
  EXPECT_EQ(heard.answer.finish, Finish::kStop);
  EXPECT_EQ(heard.answer.prompt_tokens, 1U);
  EXPECT_EQ(heard.answer.completion_tokens, 4U);
  EXPECT_EQ(session.fed, (std::vector<TokenId>{8, 1, 2, 3, 4}));
}

TEST_F(Generator, StopsAtAStopStringThatIsSplitOverTokens) {
  RecitingSession session({1, 5, 6, 7, 1});
  const Heard heard = hear(session, {.prompt = {8}, .max_tokens = 10, .stops = {"\n\nUser:"}});
  EXPECT_EQ(heard.text(), "Hel");
  EXPECT_EQ(heard.answer.finish, Finish::kStop);
}

TEST_F(Generator, EndsAfterMaxTokensWithWhatWasHeldBack) {
  RecitingSession session({1, 5, 6, 7});
  const Heard heard = hear(session, {.prompt = {8}, .max_tokens = 3, .stops = {"\n\nUser:"}});
  EXPECT_EQ(heard.text(), "Hel\n\nUs");
  EXPECT_EQ(heard.answer.finish, Finish::kLength);
}

TEST_F(Generator, DropsTheBlanksBeforeAChatsAnswerOnly) {
  RecitingSession session({8, 5, 1, 8, 2, kEndOfText});
  const Heard heard =
      hear(session, {.prompt = {8}, .max_tokens = 9, .stops = {}, .trim_start = true});
  EXPECT_EQ(heard.text(), "Hel lo");
}

TEST_F(Generator, StopsBetweenTokensWhenTheAskerIsGone) {
  RecitingSession session({1, 2, 1, 2, 1, 2});
  const Heard heard = hear(session, {.prompt = {8}, .max_tokens = 6, .stops = {}}, 2);
  ASSERT_FALSE(heard.ended);
  EXPECT_EQ(heard.ended.error().code, Errc::kCancelled);
  EXPECT_EQ(heard.answer.completion_tokens, 2U);
  EXPECT_EQ(heard.text(), "Hello");
}

TEST_F(Generator, AKeptSessionIsFedThePromptAndTheTextAndNothingElse) {
  struct Case {
    std::vector<TokenId> recited;
    std::vector<TokenId> kept;  // after the prompt
    std::vector<std::string> stops;
    std::uint32_t max_tokens = 20;
    int marks = 0;
  };
  const Case cases[] = {
      {{1, 2, kEndOfText}, {1, 2}, {}},
      {{1, 2, 1}, {1, 2}, {}, 2},
      {{}, {}, {}, 0},
      {{1, 5, 6, 7}, {1}, {"\n\nUser:"}, 20, 1},
      {{1, 5, 2, 5, 6, 7}, {1, 5, 2}, {"\n\nUser:"}, 20, 2},  // the first line end was none
      {{1, 2, 5}, {1, 9}, {"o\n"}, 20, 1},                    // a stop that begins inside a token
      {{3, 4, 1, 2}, {3, 4}, {"Hello"}, 20, 2},               // half a character is held back too
      {{1, 5, 6}, {1, 5, 6}, {"\n\nUser:"}, 3, 1},            // cut short before it is a stop
  };
  for (const Case& one : cases) {
    RecitingSession session(one.recited);
    hear(session,
         {.prompt = {8}, .max_tokens = one.max_tokens, .stops = one.stops, .keeps_state = true});
    std::vector<TokenId> kept{8};
    kept.insert(kept.end(), one.kept.begin(), one.kept.end());
    EXPECT_EQ(session.fed, kept);
    EXPECT_EQ(session.marks, one.marks);
  }
}

TEST_F(Generator, ALocalSessionGoesBackToItsMark) {
  const auto hosted = test::host(real_.env(), test::golden_artifact());
  LocalSession session(hosted, SamplerOptions{.temperature = 0});
  ASSERT_TRUE(real_.run(session.next({5, 6, 7})));
  const RwkvState before = session.state();
  session.mark();
  ASSERT_TRUE(real_.run(session.next({8})));
  EXPECT_FALSE(session.state() == before);
  session.rewind();
  EXPECT_EQ(session.state(), before);
  // Reading gives the state that picking gives.
  LocalSession reading(hosted, SamplerOptions{});
  ASSERT_TRUE(real_.run(reading.read({5, 6, 7})));
  EXPECT_EQ(reading.state(), before);
  LocalSession branch(hosted, SamplerOptions{.temperature = 0}, before);
  EXPECT_EQ(real_.run(branch.next({8})).value(), real_.run(session.next({8})).value());
}

TEST_F(Generator, FeedsEndOfTextWhenThePromptIsEmpty) {
  RecitingSession session({1, kEndOfText});
  hear(session, {.prompt = {}, .max_tokens = 5, .stops = {}});
  EXPECT_EQ(session.fed, (std::vector<TokenId>{kEndOfText, 1}));
}

TEST_F(Generator, LocalSessionsPickWhatTheModelSaysWhateverTheBatches) {
  const auto hosted = test::host(real_.env(), test::golden_artifact());
  const SamplerOptions greedy{.temperature = 0};
  std::vector<TokenId> prompt(40);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(1 + 5 * i);

  LocalSession at_once(hosted, greedy);
  const TokenId together = real_.run(at_once.next(prompt)).value();

  LocalSession one_by_one(hosted, greedy);
  TokenId apart = 0;
  for (const TokenId id : prompt) apart = real_.run(one_by_one.next({id})).value();
  EXPECT_EQ(together, apart);

  SerialParallel serial;
  Runner runner(*hosted->model, serial);
  RwkvState state = hosted->model->initial_state();
  std::vector<float> logits(hosted->model->config().vocab);
  for (const TokenId id : prompt) runner.step(id, state, logits);
  Sampler sampler(greedy);
  EXPECT_EQ(together, sampler.pick(logits));
}

TEST_F(Generator, LocalSessionsFollowTheirGrammarAndSayWhenItIsComplete) {
  const auto hosted = test::host(real_.env(), test::golden_artifact());
  const Tokenizer& tokenizer = *hosted->model->tokenizer();
  const std::uint32_t vocab = hosted->model->config().vocab;
  const Constraint constraint{Grammar::parse("root ::= \"\xE9\x9B\xBB\" [0-9]{2}").value(),
                              trie_of(tokenizer, vocab), &tokenizer};
  LocalSession session(hosted, TokenPicker({.seed = 5}, constraint));
  std::string text;
  Heard heard;
  Asker asker;
  asker.on_text = [&text](std::string piece) -> Task<Result<void>> {
    text += piece;
    co_return Result<void>{};
  };
  asker.is_gone = [] { return false; };
  GenerateRequest request{.prompt = {8}, .max_tokens = 20, .stops = {}};
  const auto ended = real_.run(generate(real_.env(), session, tokenizer, std::move(request),
                                        std::move(asker), heard.answer));
  ASSERT_TRUE(ended) << to_string(ended.error());
  EXPECT_EQ(text.size(), 5U) << text;
  EXPECT_TRUE(text.starts_with("\xE9\x9B\xBB"));
  EXPECT_TRUE(session.is_complete());
  EXPECT_EQ(heard.answer.finish, Finish::kStop);
  EXPECT_EQ(heard.answer.completion_tokens, 5U);  // no token of the vocabulary is this character
}

TEST_F(Generator, AGrammarThatTheVocabularyCannotWriteEndsTheAnswerWithItsError) {
  const auto hosted = test::host(real_.env(), test::golden_artifact());
  const std::string_view bytes[] = {"", "a"};
  const Constraint constraint{Grammar::parse("root ::= \"b\"").value(),
                              TokenTrie::make(bytes, kEndOfText), hosted->model->tokenizer()};
  LocalSession session(hosted, TokenPicker({}, constraint));
  const auto refused = real_.run(session.next({1}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
}

TEST_F(Generator, ThePromptCountsForRepetitionAndWhatWasPickedOnlyOnce) {
  const std::vector<float> logits = {0, 3, 2.9F, 1};
  const SamplerOptions options{.temperature = 0, .repetition_penalty = 2, .repeat_last_n = 2};
  TokenPicker picker(options);
  picker.fed(std::vector<TokenId>{1});
  EXPECT_EQ(picker.pick(logits).value(), 2U);  // 1 was in the prompt
  picker.fed(std::vector<TokenId>{2});         // known already: 1 is still among the last two
  EXPECT_EQ(picker.pick(logits).value(), 1U);
}

TEST_F(Generator, LocalSessionsRefuseIdsOutsideTheVocabulary) {
  const auto hosted = test::host(real_.env(), test::golden_artifact());
  LocalSession session(hosted, {});
  const auto refused = real_.run(session.next({1U << 30}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
}

}  // namespace
}  // namespace skein
