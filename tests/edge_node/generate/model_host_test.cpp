#include "edge_node/generate/model_host.h"

#include <gtest/gtest.h>

#include "edge_node/generate/session.h"
#include "tests/edge_node/golden_model.h"

namespace skein {
namespace {

class ModelHostTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(real_.run(store_.open()));
    const auto base = test::golden_artifact();
    const auto tuned = test::tuned_artifact(*base, 0.25F);
    v1_ = real_.run(test::put_artifact(store_, *base, std::nullopt)).value();
    v2_ = real_.run(test::put_artifact(store_, *tuned, std::nullopt)).value();
  }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  test::ScopedFolder folder_;
  Env env_ = real_.env();
  ChunkStore store_{env_.disk, folder_.path() + "/chunks"};
  Digest v1_, v2_;
};

TEST_F(ModelHostTest, KeepsTheOldModelForWhoeverStillUsesIt) {
  ModelHost host(env_, store_);
  ASSERT_TRUE(real_.run(host.load(v1_)));
  auto answering = std::make_unique<LocalSession>(host.current(), SamplerOptions{});
  ASSERT_TRUE(real_.run(host.load(v2_)));
  EXPECT_EQ(host.current()->digest, v2_);
  EXPECT_EQ(host.in_use(), (std::vector<Digest>{v1_, v2_}));
  EXPECT_TRUE(real_.run(answering->next({1, 2, 3})));
  answering.reset();
  EXPECT_EQ(host.in_use(), std::vector<Digest>{v2_});
}

TEST_F(ModelHostTest, KeepsTheRunningModelWhenTheNextDoesNotOpen) {
  ModelHost host(env_, store_);
  ASSERT_TRUE(real_.run(host.load(v1_)));
  const auto failed = real_.run(host.load(Digest{}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(host.current()->digest, v1_);
}

TEST_F(ModelHostTest, ModelsWithTheSameVocabularyHaveItOnce) {
  ModelHost host(env_, store_);
  ASSERT_TRUE(real_.run(host.load(v1_)));
  const auto first = host.current();
  ASSERT_NE(first->model->tokenizer(), nullptr);
  ASSERT_TRUE(real_.run(host.load(v2_)));
  EXPECT_NE(host.current(), first);
  EXPECT_EQ(host.current()->model->tokenizer(), first->model->tokenizer());
}

TEST_F(ModelHostTest, ALoadWaitsForMemoryThatIsLent) {
  using std::chrono_literals::operator""s;
  HostOptions options;
  options.memory.emplace(WeightMemory::Options{.budget = 16U << 20U});
  options.folder = folder_.path() + "/paged";
  ModelHost host(env_, store_, options);
  ASSERT_TRUE(real_.run(host.load(v1_)));
  WeightMemory& memory = *host.memory();
  const std::uint64_t spare = memory.budget() - memory.smallest().value();
  auto lent = memory.lend(*host.current()->budgeted, spare - 4096);
  ASSERT_TRUE(lent) << to_string(lent.error());
  std::optional<WeightMemory::Loan> loan(std::move(*lent));
  TaskGroup group(env_.executor);
  const auto load = [&]() -> Task<void> {
    const Result<void> loaded = co_await host.load(v2_);
    EXPECT_TRUE(loaded) << to_string(loaded.error());
  };
  group.spawn(load());
  const auto later = [&]() -> Task<void> {
    co_await env_.clock.sleep_for(1s);
    EXPECT_EQ(host.current()->digest, v1_);
    loan.reset();
  };
  group.spawn(later());
  real_.run(group.join());
  EXPECT_EQ(host.current()->digest, v2_);
}

}  // namespace
}  // namespace skein
