#include "edge_node/split/split_client.h"

#include <gtest/gtest.h>

#include "tests/edge_node/fake_coordinator.h"

namespace skein {
namespace {

constexpr int kTokens = 40;

class SplitClientTest : public testing::Test {
 protected:
  void SetUp() override {
    coordinator_.model = hosted_;
    prompt_.resize(150);
    for (std::size_t i = 0; i < prompt_.size(); ++i) prompt_[i] = TokenId(1 + (7 * i) % 250);
  }

  // The prompt, then kTokens picked and fed back.
  std::vector<TokenId> answer(Session& session) {
    std::vector<TokenId> ids;
    std::vector<TokenId> feed = prompt_;
    for (int i = 0; i < kTokens; ++i) {
      const auto picked = real_.run(session.next(feed));
      EXPECT_TRUE(picked) << to_string(picked.error());
      if (!picked) break;
      ids.push_back(*picked);
      feed.assign(1, *picked);
    }
    return ids;
  }
  std::vector<TokenId> local_answer() {
    LocalSession session(hosted_, sampler_);
    return answer(session);
  }
  std::unique_ptr<Session> split(std::uint32_t first_layer = 1) {
    return client_.open(hosted_, sampler_, first_layer);
  }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env_ = real_.env();
  std::shared_ptr<const HostedModel> hosted_ = test::host(env_, test::golden_artifact());
  test::FakeCoordinator coordinator_{env_};
  SplitClient client_{env_, coordinator_};
  SamplerOptions sampler_{.temperature = 0.9F, .top_p = 0.95F, .seed = 11};
  std::vector<TokenId> prompt_;
};

TEST_F(SplitClientTest, EqualsLocalTokenForTokenAtEveryLayer) {
  const std::vector<TokenId> local = local_answer();
  for (std::uint32_t layer = 1; layer < hosted_->model->config().layers; ++layer) {
    const auto session = split(layer);
    EXPECT_EQ(answer(*session), local) << layer;
    EXPECT_EQ(session->kind(), "split");
  }
  EXPECT_EQ(client_.counters().fallbacks, 0U);
  EXPECT_GT(coordinator_.steps_run, 0U);
}

TEST_F(SplitClientTest, EqualsLocalWhenTheLinkIsCutMidAnswerAndComesBack) {
  const std::vector<TokenId> local = local_answer();
  coordinator_.cut_at_step = 160;
  const auto session = split();
  EXPECT_EQ(answer(*session), local);
  EXPECT_EQ(session->kind(), "split");
  EXPECT_EQ(client_.counters().fallbacks, 0U);
}

TEST_F(SplitClientTest, EqualsLocalWhenOnlyTheReplyWasLost) {
  const std::vector<TokenId> local = local_answer();
  coordinator_.lose_reply_of_step = 160;
  const auto session = split();
  EXPECT_EQ(answer(*session), local);
  EXPECT_EQ(coordinator_.steps_repeated, 1U);
  EXPECT_EQ(session->kind(), "split");
}

TEST_F(SplitClientTest, EqualsLocalWhenTheLinkIsCutForGood) {
  const std::vector<TokenId> local = local_answer();
  for (const std::uint64_t cut : {0U, 70U, 149U, 150U, 160U, 188U}) {
    coordinator_.link_up = true;
    coordinator_.returns = false;
    coordinator_.cut_at_step = cut;
    const auto session = split();
    EXPECT_EQ(answer(*session), local) << cut;
    EXPECT_EQ(session->kind(), "local");
  }
  EXPECT_EQ(client_.counters().fallbacks, 6U);
}

TEST_F(SplitClientTest, EqualsLocalWhenTheServerRestartsAndForgets) {
  const std::vector<TokenId> local = local_answer();
  const auto session = split();
  std::vector<TokenId> ids;
  std::vector<TokenId> feed = prompt_;
  for (int i = 0; i < kTokens; ++i) {
    if (i == 20) coordinator_.restart();
    ids.push_back(real_.run(session->next(feed)).value());
    feed.assign(1, ids.back());
  }
  EXPECT_EQ(ids, local);
  EXPECT_EQ(session->kind(), "local");
}

TEST_F(SplitClientTest, GoesAloneFromTheStartWhenThereIsNoCoordinator) {
  const std::vector<TokenId> local = local_answer();
  coordinator_.link_up = false;
  coordinator_.returns = false;
  EXPECT_EQ(answer(*split()), local);
}

TEST_F(SplitClientTest, ClosesItsSessionsOverThere) {
  auto session = split();
  ASSERT_TRUE(real_.run(session->next({1, 2, 3})));
  EXPECT_EQ(coordinator_.open_sessions(), 1U);
  session.reset();
  real_.run(env_.clock.sleep_for(std::chrono::milliseconds(20)));
  EXPECT_EQ(coordinator_.open_sessions(), 0U);
}

TEST_F(SplitClientTest, SplitsOnlyBetweenTheFirstAndTheLastLayer) {
  const ModelConfig& config = hosted_->model->config();
  EXPECT_FALSE(SplitClient::can_split(config, 0));
  EXPECT_TRUE(SplitClient::can_split(config, 1));
  EXPECT_TRUE(SplitClient::can_split(config, config.layers - 1));
  EXPECT_FALSE(SplitClient::can_split(config, config.layers));
}

}  // namespace
}  // namespace skein
