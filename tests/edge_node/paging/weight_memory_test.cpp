// Weights of several models in one budget, and a budget that changes: the logits are those of whole
// models, token after token.
#include "edge_node/paging/weight_memory.h"

#include <gtest/gtest.h>

#include "tests/edge_node/paging/paged_model.h"
#include "tests/support/test_world.h"

namespace skein {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
constexpr ModelConfig kShape = {
    .layers = 2, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 2048, .vocab = 99};

constexpr ModelConfig kDeep = {
    .layers = 4, .width = 512, .heads = 8, .head_size = 64, .ffn_width = 2048, .vocab = 99};

// A model that is run whole and within the memory, side by side.
class Twin {
 public:
  explicit Twin(std::uint64_t seed) : Twin(test::random_model(Format::kQ8, kShape, seed)) {}
  explicit Twin(test::MemoryPages pages)
      : pages_(std::move(pages)),
        stored_(pages_),
        whole_(Model::open(pages_).value()),
        whole_runner_(*whole_, alone_),
        expected_(whole_->initial_state()) {}

  void open(WeightMemory& memory) {
    memory_ = &memory;
    auto looked = memory.look_at(stored_.path(), stored_.artifact().digest);
    ASSERT_TRUE(looked) << to_string(looked.error());
    expected_ = whole_->initial_state();
    budgeted_ = std::move(*looked);
    const auto stay = memory.enter(*budgeted_, nullptr);
    ASSERT_TRUE(stay) << to_string(stay.error());
    model_ = Model::open(*budgeted_).value();
    runner_.emplace(*model_, alone_);
    state_ = model_->initial_state();
  }
  void step(TokenId token) {
    const auto stay = memory_->enter(*budgeted_, model_.get());
    ASSERT_TRUE(stay) << to_string(stay.error());
    std::vector<float> logits(model_->config().vocab), right(logits.size());
    ASSERT_TRUE(runner_->step(token, state_, logits));
    ASSERT_TRUE(whole_runner_.step(token, expected_, right));
    ASSERT_EQ(logits, right) << "token " << token;
  }
  void close() {
    runner_.reset();
    model_.reset();
    budgeted_.reset();
  }
  Result<std::uint64_t> smallest() const { return memory_->smallest(); }
  BudgetedPages& budgeted() { return *budgeted_; }
  test::PagedModel& stored() { return stored_; }
  const Manifest& manifest() const { return stored_.manifest(); }

 private:
  SerialParallel alone_;
  test::MemoryPages pages_;
  test::PagedModel stored_;
  std::unique_ptr<Model> whole_;
  Runner whole_runner_;
  RwkvState expected_;
  WeightMemory* memory_ = nullptr;
  std::unique_ptr<BudgetedPages> budgeted_;
  std::unique_ptr<Model> model_;
  std::optional<Runner> runner_;
  RwkvState state_;
};

std::uint64_t least_for(const Twin& twin) {
  return smallest_budget(twin.manifest(), {.alignment = BlockReads::kMostAlignment}).value();
}

class WeightMemoryTest : public testing::Test {
 protected:
  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env_ = real_.env();
  Twin first_{1};
};

TEST_F(WeightMemoryTest, TwoModelsTakeTurnsInTheMemoryOfOne) {
  Twin second(2);
  WeightMemory memory(env_, {.budget = least_for(first_) + 3 * kMib});
  first_.open(memory);
  second.open(memory);
  for (TokenId token = 0; token < 24; ++token) {
    first_.step(token);
    if (token % 4 == 0) second.step(token + 40);
  }
  EXPECT_GE(memory.openings(), 12U);
  EXPECT_GT(memory.counters().misses, 0U);
}

TEST_F(WeightMemoryTest, WeightsHaveTheMemoryOfSessionsUntilThoseCome) {
  test::HandClock clock;
  const Env env{env_.executor, clock,        env_.network, env_.disk,
                env_.random,   env_.compute, env_.log,     env_.pressure};
  WeightMemory memory(env, {.budget = least_for(first_) + 2 * kMib, .sessions = 16});
  first_.open(memory);
  ASSERT_GE(first_.budgeted().sessions(), 4U);
  const auto streamed_with = [&](std::size_t sessions, std::uint64_t openings) {
    const std::uint64_t opened = memory.openings();
    EXPECT_TRUE(!memory.must_plan(sessions) || memory.plan_sessions(sessions));
    first_.step(1);
    EXPECT_EQ(memory.openings(), opened + openings) << sessions << " sessions";
    const auto streamed = [&] {  // of dense matrices: the same pages for every token
      return memory.counters().bytes_read - memory.counters().value_bytes;
    };
    const std::uint64_t before = streamed();
    for (TokenId token = 2; token < 6; ++token) first_.step(token);
    return static_cast<double>(streamed() - before);
  };
  const double alone = streamed_with(1, 0);
  const double crowded = streamed_with(3, 1);
  EXPECT_GT(crowded, 1.2 * alone);
  EXPECT_NEAR(streamed_with(4, 0), crowded, 0.1 * crowded) << "planned for already";
  clock.advance(std::chrono::minutes(4));
  EXPECT_NEAR(streamed_with(1, 0), crowded, 0.1 * crowded) << "they may come again";
  clock.advance(std::chrono::minutes(2));
  EXPECT_NEAR(streamed_with(1, 1), alone, 0.1 * alone);
}

TEST_F(WeightMemoryTest, SessionsThatFitBesideAllOfAModelDoNotReadItAnew) {
  WeightMemory memory(env_, {.budget = least_for(first_) + 32 * kMib, .sessions = 16});
  first_.open(memory);
  first_.step(1);
  ASSERT_TRUE(memory.must_plan(16));
  EXPECT_TRUE(memory.plan_sessions(16));
  first_.step(2);
  EXPECT_EQ(memory.openings(), 1U);
  EXPECT_FALSE(memory.must_plan(16));
}

TEST_F(WeightMemoryTest, AModelThatIsAloneAgainTakesItsMemoryBack) {
  Twin second(2);
  WeightMemory memory(env_, {.budget = least_for(first_) + 3 * kMib});
  first_.open(memory);
  second.open(memory);
  second.step(1);
  const auto missed_by = [&](TokenId token) {
    const std::uint64_t before = memory.counters().misses;
    second.step(token);
    return memory.counters().misses - before;
  };
  missed_by(2);
  const std::uint64_t in_company = missed_by(3);
  first_.close();
  const std::uint64_t openings = memory.openings();
  missed_by(4);
  EXPECT_LT(missed_by(5), in_company);
  EXPECT_EQ(memory.openings(), openings + 1);
}

TEST_F(WeightMemoryTest, KeepsPagesCodedWhereStorageIsSlowAndNotWhereItIsFast) {
  const auto decoding_at = [&](double rate) {
    RealEnv real({.compute_threads = 1,
                  .log_level = LogLevel::kError,
                  .storage = {.megabytes_per_second = rate}});
    Twin twin(test::random_model(Format::kQ4, kDeep, 1, true));
    WeightMemory memory(real.env(), {.budget = least_for(twin) + 2 * kMib});
    twin.open(memory);
    for (TokenId token = 0; token < 2; ++token) twin.step(token);
    EXPECT_GT(memory.counters().misses, 0U);
    return memory.counters().decoding;
  };
  EXPECT_GT(decoding_at(4), Duration{});
  EXPECT_EQ(decoding_at(1e6), Duration{});
}

TEST_F(WeightMemoryTest, ABudgetThatChangesIsMetBeforeTheNextPassAndStatesStay) {
  const std::uint64_t least = least_for(first_);
  WeightMemory memory(env_, {.budget = least + 8 * kMib});
  first_.open(memory);
  for (TokenId token = 0; token < 8; ++token) first_.step(token);
  EXPECT_EQ(memory.counters().misses, 0U);  // all of it is there
  const std::uint64_t floor = first_.smallest().value();
  for (const std::uint64_t budget : {floor, floor + 2 * kMib, floor + kMib, least + 8 * kMib}) {
    memory.set_budget(budget);
    const std::uint64_t openings = memory.openings();
    for (TokenId token = 0; token < 8; ++token) first_.step(token + 50);
    EXPECT_EQ(memory.openings(), openings + 1);
    EXPECT_EQ(memory.budget(), budget);
  }
  EXPECT_GT(memory.counters().misses, 0U);
  // More than all of it is of no use.
  memory.set_budget(least + 16 * kMib);
  const std::uint64_t openings = memory.openings();
  first_.step(3);
  EXPECT_EQ(memory.openings(), openings);
}

TEST_F(WeightMemoryTest, TakesAsManySessionsAsLeaveRoomForWeights) {
  const std::uint64_t least = least_for(first_);
  const auto sessions_in = [&](std::uint64_t budget) {
    WeightMemory memory(env_, {.budget = budget, .sessions = 16});
    return memory.look_at(first_.stored().path(), first_.stored().artifact().digest)
        .value()
        ->sessions();
  };
  EXPECT_EQ(sessions_in(least + least / 50), 1U);
  EXPECT_EQ(sessions_in(least + 48 * kMib), 16U);
}

TEST_F(WeightMemoryTest, SessionsLeaveRoomForTheModelThatTakesTheirModelsPlace) {
  for (const std::uint64_t more : {2 * kMib, 3 * kMib, 5 * kMib, 9 * kMib}) {
    WeightMemory memory(env_, {.budget = least_for(first_) + more, .sessions = 16});
    Twin second(2);
    first_.open(memory);
    second.open(memory);
    EXPECT_LE(memory.smallest().value(), memory.budget());
    for (TokenId token = 0; token < 3; ++token) {
      first_.step(token);
      second.step(token + 40);
    }
    first_.close();
  }
}

TEST_F(WeightMemoryTest, CountsTheStatesOfAnswersThatGoOnBesideAModelOfFewerSessions) {
  Twin large(test::random_model(Format::kQ8, kDeep, 1));
  WeightMemory memory(env_, {.budget = least_for(large) + 6 * kMib, .sessions = 16});
  first_.open(memory);
  large.open(memory);
  const std::uint32_t many = first_.budgeted().sessions();
  const std::uint32_t few = large.budgeted().sessions();
  ASSERT_GT(many, few);
  const ResidencyRequest alone = {.sessions = few, .alignment = BlockReads::kMostAlignment};
  EXPECT_GT(memory.smallest().value(), smallest_budget(large.manifest(), alone).value() +
                                           (many - few) * RwkvState(kShape).bytes());
  EXPECT_LE(memory.smallest().value(), memory.budget());
  EXPECT_TRUE(memory.takes_turns());
  first_.close();
  EXPECT_FALSE(memory.takes_turns());
}

TEST_F(WeightMemoryTest, RefusesAModelBesideWhichTheOneThatAnswersDoesNotRunAndSaysWhatWouldDo) {
  WeightMemory memory(env_, {.budget = least_for(first_) + kMib / 8, .sessions = 16});
  first_.open(memory);
  Twin second(2);
  const auto refused = memory.look_at(second.stored().path(), second.stored().artifact().digest);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
  EXPECT_NE(refused.error().what.find("beside"), std::string::npos) << refused.error().what;
  first_.step(1);  // as before
  first_.close();
  const std::uint64_t said = std::stoull(refused.error().remedy.substr(14)) * kMib;
  EXPECT_LT(said, memory.budget() + 4 * kMib);
  WeightMemory larger(env_, {.budget = said, .sessions = 16});
  first_.open(larger);
  second.open(larger);
  first_.step(2);
}

TEST_F(WeightMemoryTest, AModelThatFitsOnceALoanEndsIsToldToComeAgain) {
  WeightMemory memory(env_, {.budget = least_for(first_) + 8 * kMib});
  first_.open(memory);
  Twin second(2);
  {
    const std::uint64_t spare = memory.budget() - memory.smallest().value();
    const auto loan = memory.lend(first_.budgeted(), spare - kMib / 8);
    ASSERT_TRUE(loan) << to_string(loan.error());
    const auto later = memory.look_at(second.stored().path(), second.stored().artifact().digest);
    ASSERT_FALSE(later);
    EXPECT_EQ(later.error().code, Errc::kUnavailable);
    first_.step(1);
  }
  second.open(memory);
  second.step(2);
}

TEST_F(WeightMemoryTest, RefusesABudgetThatIsTooSmallAndAFileOfAnotherArtifact) {
  WeightMemory memory(env_, {.budget = kMib, .budget_name = "the budget"});
  const std::string path = first_.stored().path();
  const auto small = memory.look_at(path, first_.stored().artifact().digest);
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(small.error().where, "the budget");
  EXPECT_TRUE(small.error().remedy.starts_with("give at least "));
  const auto other = memory.look_at(path, Digest{});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kCorrupt);
}

TEST_F(WeightMemoryTest, APageThatIsWrongIsToldAndTheNextCallTriesAgain) {
  WeightMemory memory(env_, {.budget = least_for(first_) + kMib});
  first_.open(memory);
  first_.step(1);
  const std::uint32_t page =
      find_tensor(first_.manifest(), "blocks.1.ffn.value.weight")->segments[3].page;
  first_.stored().damage(page);
  first_.budgeted().read_anew();
  const auto refused = memory.enter(first_.budgeted(), nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  EXPECT_EQ(first_.budgeted().take_damaged(), std::vector<std::uint32_t>{page});
  EXPECT_TRUE(first_.budgeted().take_damaged().empty());
  first_.stored().damage(page);  // as it was
  first_.step(2);
}

TEST_F(WeightMemoryTest, LendsWhatModelsCanDoWithoutAndSaysHowMuchWouldDo) {
  const std::uint64_t least = least_for(first_);
  WeightMemory memory(env_, {.budget = least + 8 * kMib, .budget_name = "[budget]"});
  first_.open(memory);
  first_.step(1);
  const std::uint64_t floor = first_.smallest().value();
  const auto much = memory.lend(first_.budgeted(), 9 * kMib);
  ASSERT_FALSE(much);
  EXPECT_EQ(much.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(much.error().where, "[budget]");
  const std::uint64_t said = std::stoull(much.error().remedy.substr(14)) * kMib;
  EXPECT_GT(said, least + 9 * kMib);
  EXPECT_LT(said, least + 12 * kMib);
  WeightMemory larger(env_, {.budget = said, .budget_name = "[budget]"});
  Twin other(3);
  other.open(larger);
  EXPECT_TRUE(larger.lend(other.budgeted(), 9 * kMib)) << "as was said";
  {
    const auto loan = memory.lend(first_.budgeted(), 7 * kMib);
    ASSERT_TRUE(loan) << to_string(loan.error());
    EXPECT_EQ(memory.lent(), 7 * kMib);
    EXPECT_EQ(first_.smallest().value(), floor + 7 * kMib);
    const std::uint64_t openings = memory.openings();
    first_.step(2);
    first_.step(3);
    EXPECT_EQ(memory.openings(), openings + 1);
    EXPECT_FALSE(memory.lend(first_.budgeted(), 7 * kMib)) << "it is lent already";
    // The machine is short of memory: what is lent is not to be had twice.
    memory.set_budget(least + 7 * kMib + kMib / 2);
    EXPECT_EQ(memory.lend(first_.budgeted(), kMib).error().code, Errc::kUnavailable);
    memory.set_budget(least + 8 * kMib);
  }
  EXPECT_EQ(memory.lent(), 0U);
  EXPECT_EQ(first_.smallest().value(), floor);
  const std::uint64_t openings = memory.openings();
  first_.step(4);
  EXPECT_EQ(memory.openings(), openings + 1);
}

}  // namespace
}  // namespace skein
