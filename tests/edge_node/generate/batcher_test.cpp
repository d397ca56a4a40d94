// Many sessions over one set of weights.
#include "edge_node/generate/internal/batcher.h"

#include <gtest/gtest.h>

#include "edge_node/generate/session.h"
#include "tests/edge_node/golden_model.h"
#include "tests/support/allocation_count.h"

namespace skein {
namespace {

// Jobs wait at a gate that the test holds; then they run on the loop.
class GatedCompute final : public Compute {
 public:
  explicit GatedCompute(Executor executor) : opened_(std::move(executor)) {}
  Task<void> run(std::function<void()> job, Duration) override {
    ++begun;
    while (passes_allowed_ == 0) co_await opened_.wait();
    --passes_allowed_;
    test::counts_allocations = counts;
    job();
    test::counts_allocations = false;
  }
  Parallel& parallel() override { return serial_; }
  void open(std::size_t passes = 1'000'000) {
    passes_allowed_ += passes;
    opened_.notify_all();
  }
  void close() { passes_allowed_ = 0; }
  std::size_t begun = 0;
  bool counts = false;  // what jobs allocate

 private:
  std::size_t passes_allowed_ = 0;
  Signal opened_;
  SerialParallel serial_;
};

// Pages whose parts cannot be read any more once the disk is gone.
class FadingPages final : public PageSource {
 public:
  FadingPages(std::unique_ptr<PageSource> pages, const bool& gone)
      : pages_(std::move(pages)), gone_(gone) {}
  const Manifest& manifest() const override { return pages_->manifest(); }
  Result<ByteView> page(PageIndex index) override { return pages_->page(index); }
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override {
    if (gone_) return fail(Errc::kInput, "the disk is gone");
    return pages_->read(index, offset, out);
  }

 private:
  std::unique_ptr<PageSource> pages_;
  const bool& gone_;
};

struct Ask {
  std::vector<TokenId> prompt;
  int tokens = 1;
  SamplerOptions sampler;
  const char* grammar = nullptr;
};

struct Heard {
  std::vector<TokenId> ids;
  std::vector<std::uint64_t> passes;  // that there had been when each came
  RwkvState state;
  std::optional<Error> error;
};

class BatcherTest : public testing::Test {
 protected:
  static std::vector<TokenId> prompt(std::size_t count, std::size_t seed) {
    std::vector<TokenId> ids(count);
    for (std::size_t i = 0; i < count; ++i) ids[i] = TokenId(1 + (7 * i + 31 * seed) % 250);
    return ids;
  }
  // Some that decode, some with long prompts, some that follow a grammar; all sampled differently.
  static std::vector<Ask> mixed_asks() {
    std::vector<Ask> asks;
    for (std::size_t i = 0; i < 14; ++i) {
      Ask ask{prompt(i % 3 == 0 ? 1 : 20 * i, i), 12, {.temperature = 0.9F, .seed = 100 + i}, {}};
      if (i % 4 == 1) ask.grammar = "root ::= [a-z ]+";
      if (i % 5 == 2) ask.sampler.temperature = 0;
      asks.push_back(std::move(ask));
    }
    return asks;
  }

  std::shared_ptr<const HostedModel> host(Env env) {
    return test::host(env, test::golden_artifact(), passes_);
  }
  TokenPicker picker(const HostedModel& hosted, const Ask& ask) {
    if (ask.grammar == nullptr) return ask.sampler;
    const Tokenizer* tokenizer = hosted.model->tokenizer();
    const Constraint constraint{Grammar::parse(ask.grammar).value(),
                                trie_of(*tokenizer, hosted.model->config().vocab), tokenizer};
    return {ask.sampler, constraint};
  }
  Task<void> answer(std::shared_ptr<const HostedModel> hosted, Ask ask, Heard& heard) {
    LocalSession session(hosted, picker(*hosted, ask));
    std::vector<TokenId> feed = ask.prompt;
    for (int i = 0; i < ask.tokens; ++i) {
      const auto picked = co_await session.next(std::move(feed));
      if (!picked) {
        heard.error = picked.error();
        break;
      }
      heard.ids.push_back(*picked);
      heard.passes.push_back(passes_->passes);
      feed.assign(1, *picked);
    }
    heard.state = session.state();
  }
  // Each by itself, one token a pass.
  Heard alone(const Ask& ask) {
    Heard heard;
    const auto hosted = host(real_.env());
    real_.run(answer(hosted, ask, heard));
    return heard;
  }
  Env gated_env() {
    const Env env = real_.env();
    return {env.executor, env.clock, env.network, env.disk,
            env.random,   gate_,     env.log,     env.pressure};
  }
  void turn_the_loop() { real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(5))); }

  RealEnv real_{{.compute_threads = 2, .log_level = LogLevel::kError}};
  GatedCompute gate_{real_.env().executor};
  std::shared_ptr<PassCounters> passes_ = std::make_shared<PassCounters>();
};

TEST_F(BatcherTest, SessionsTogetherGetTheBitsOfEachAlone) {
  const std::vector<Ask> asks = mixed_asks();
  std::vector<Heard> expected;
  for (const Ask& ask : asks) expected.push_back(alone(ask));

  const auto hosted = host(real_.env());
  std::vector<Heard> heard(asks.size());
  TaskGroup group(real_.env().executor);
  for (std::size_t i = 0; i < asks.size(); ++i) group.spawn(answer(hosted, asks[i], heard[i]));
  real_.run(group.join());
  for (std::size_t i = 0; i < asks.size(); ++i) {
    ASSERT_FALSE(heard[i].error) << to_string(*heard[i].error);
    EXPECT_EQ(heard[i].ids, expected[i].ids) << i;
    EXPECT_EQ(heard[i].state, expected[i].state) << i;
  }
}

TEST_F(BatcherTest, SessionsThatDecodeTogetherShareEveryPass) {
  constexpr int kTokens = 30;
  constexpr std::size_t kSessions = 8;
  const auto hosted = host(real_.env());
  std::vector<Heard> heard(kSessions);
  TaskGroup group(real_.env().executor);
  for (std::size_t i = 0; i < kSessions; ++i) {
    group.spawn(answer(hosted, {prompt(1, i), kTokens, {.seed = i}, {}}, heard[i]));
  }
  real_.run(group.join());
  EXPECT_EQ(passes_->rows, kTokens * kSessions);
  EXPECT_LE(passes_->passes, kTokens + 1);  // the first began without waiting for the others
  EXPECT_GT(passes_->value_rows_total, 0U);
}

TEST_F(BatcherTest, APassStartsAtOnceAndLaterOnesShareTheNext) {
  const auto hosted = host(gated_env());
  std::vector<Heard> heard(4);
  TaskGroup group(real_.env().executor);
  group.spawn(answer(hosted, {prompt(1, 0), 1, {}, {}}, heard[0]));
  turn_the_loop();
  EXPECT_EQ(gate_.begun, 1U);  // with nobody else in sight
  for (std::size_t i = 1; i < 4; ++i) {
    group.spawn(answer(hosted, {prompt(1, i), 1, {}, {}}, heard[i]));
  }
  turn_the_loop();
  EXPECT_EQ(gate_.begun, 1U);
  gate_.open();
  real_.run(group.join());
  EXPECT_EQ(gate_.begun, 2U);
  EXPECT_EQ(passes_->sequences, 4U);
}

TEST_F(BatcherTest, SessionsThatArriveInBetweenJoinInsteadOfTakingTurns) {
  constexpr int kTokens = 40;
  const auto hosted = host(gated_env());
  std::vector<Heard> heard(2);
  TaskGroup group(real_.env().executor);
  group.spawn(answer(hosted, {prompt(1, 0), kTokens, {}, {}}, heard[0]));
  turn_the_loop();
  group.spawn(answer(hosted, {prompt(1, 1), kTokens, {}, {}}, heard[1]));  // during a pass
  turn_the_loop();
  gate_.open();
  real_.run(group.join());
  EXPECT_EQ(passes_->passes, kTokens + 1U);  // by turns it would be twice as many
}

TEST_F(BatcherTest, DecodingWaitsForNoMoreThanAPassOfALongPrompt) {
  const auto hosted = host(gated_env());
  Heard decoding;
  Heard reading;
  TaskGroup group(real_.env().executor);
  group.spawn(answer(hosted, {prompt(1, 0), 60, {}, {}}, decoding));
  turn_the_loop();
  group.spawn(answer(hosted, {prompt(600, 1), 1, {}, {}}, reading));
  turn_the_loop();
  gate_.open();
  real_.run(group.join());
  ASSERT_EQ(decoding.passes.size(), 60U);
  for (std::size_t i = 1; i < decoding.passes.size(); ++i) {
    EXPECT_LE(decoding.passes[i] - decoding.passes[i - 1], 2U) << i;
  }
  // And the prompt was read meanwhile, not after.
  EXPECT_LE(reading.passes.at(0), 600 / kSharedPromptRows + 3);
}

TEST_F(BatcherTest, ASessionThatGoesInTheMiddleOfAPassDisturbsNobody) {
  const Ask ask{prompt(30, 3), 10, {.seed = 5}, {}};
  const Heard expected = alone(ask);
  auto hosted = host(gated_env());
  Heard heard;
  Heard gone;
  TaskGroup stays(real_.env().executor);
  {
    TaskGroup goes(real_.env().executor);
    goes.spawn(answer(hosted, {prompt(300, 4), 10, {}, {}}, gone));
    stays.spawn(answer(hosted, ask, heard));
    turn_the_loop();
    EXPECT_EQ(gate_.begun, 1U);
    real_.run(goes.stop());  // while a pass computes with it
  }
  EXPECT_EQ(gate_.begun, 1U);
  gate_.open();
  real_.run(stays.join());
  EXPECT_TRUE(gone.ids.empty());
  EXPECT_EQ(heard.ids, expected.ids);
  EXPECT_EQ(heard.state, expected.state);
}

TEST_F(BatcherTest, APassOutlivesTheLastHolderOfItsModel) {
  auto hosted = host(gated_env());
  const std::weak_ptr<const HostedModel> watched = hosted;
  Heard gone;
  TaskGroup goes(real_.env().executor);
  goes.spawn(answer(std::move(hosted), {prompt(5, 0), 10, {}, {}}, gone));
  turn_the_loop();
  real_.run(goes.stop());
  EXPECT_FALSE(watched.expired());
  gate_.open();
  turn_the_loop();
  EXPECT_TRUE(watched.expired());
}

TEST_F(BatcherTest, ATokenThatCannotBeReadEndsItsOwnSessionOnly) {
  bool gone = false;
  const auto hosted = test::host(
      gated_env(), std::make_unique<FadingPages>(test::golden_artifact(), gone), passes_);
  LocalSession well(hosted, SamplerOptions{.temperature = 0});
  LocalSession ill(hosted, SamplerOptions{.temperature = 0});
  gate_.open();
  ASSERT_TRUE(real_.run(well.next({7, 8})));  // their rows are kept
  ASSERT_TRUE(real_.run(ill.next({8})));
  gone = true;
  const auto next = [](LocalSession& session, TokenId id, Result<TokenId>& picked) -> Task<void> {
    picked = co_await session.next({7, id});
  };
  Result<TokenId> picked = fail(Errc::kUsage, "");
  Result<TokenId> failed = kEndOfText;
  TaskGroup group(real_.env().executor);
  gate_.close();
  group.spawn(next(ill, 200, failed));
  group.spawn(next(well, 8, picked));
  turn_the_loop();
  gate_.open();
  real_.run(group.join());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kInput);
  LocalSession alone(host(real_.env()), SamplerOptions{.temperature = 0});
  EXPECT_EQ(picked.value(), real_.run(alone.next({7, 8, 7, 8})).value());
  EXPECT_EQ(well.state(), alone.state());
}

TEST_F(BatcherTest, RefusesMoreThanCanShareAPass) {
  const auto hosted = host(gated_env());
  std::vector<Heard> heard(kMaxWaiting + 1);
  TaskGroup group(real_.env().executor);
  for (std::size_t i = 0; i <= kMaxWaiting; ++i) {
    group.spawn(answer(hosted, {prompt(3, i), 2, {}, {}}, heard[i]));
  }
  turn_the_loop();
  ASSERT_TRUE(heard.back().error);
  EXPECT_EQ(to_string(*heard.back().error), "64 sessions compute already: try again later");
  EXPECT_EQ(heard.back().error->code, Errc::kOutOfRoom);
  gate_.open();
  real_.run(group.join());
  for (std::size_t i = 0; i < kMaxWaiting; ++i) EXPECT_EQ(heard[i].ids.size(), 2U);
}

TEST_F(BatcherTest, WhoWaitsIsToldWhenTheModelIsPutAway) {
  const auto hosted = host(gated_env());
  std::vector<Heard> heard(2);
  TaskGroup group(real_.env().executor);
  for (Heard& one : heard) group.spawn(answer(hosted, {prompt(9, 0), 3, {}, {}}, one));
  turn_the_loop();
  gate_.open(1);
  real_.run(hosted->batcher->stop());
  real_.run(group.join());
  for (const Heard& one : heard) {
    ASSERT_TRUE(one.error);
    EXPECT_EQ(one.error->code, Errc::kCancelled);
  }
}

TEST_F(BatcherTest, PassesDoNotAllocateAfterWarmUp) {
  const auto hosted = host(gated_env());
  gate_.open();
  const auto together = [&](int tokens) {
    std::vector<Heard> heard(6);
    TaskGroup group(real_.env().executor);
    for (std::size_t i = 0; i < heard.size(); ++i) {
      const SamplerOptions greedy{.temperature = 0};
      group.spawn(answer(hosted, {prompt(40 + i, i), tokens, greedy, {}}, heard[i]));
    }
    real_.run(group.join());
  };
  together(2);
  test::allocations = 0;
  gate_.counts = true;
  together(20);
  EXPECT_EQ(test::allocations, 0U);
}

}  // namespace
}  // namespace skein
