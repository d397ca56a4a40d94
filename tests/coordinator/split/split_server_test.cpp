#include "coordinator/split/split_server.h"

#include <gtest/gtest.h>

#include "common/env/real/real_env.h"
#include "tests/support/memory_pages.h"

namespace skein {
namespace {

constexpr ModelConfig kConfig{Architecture::kRwkv7, 3, 128, 2, 64, 192, 32};
constexpr DeviceId kDevice{1};
constexpr DeviceId kOther{2};

Digest artifact_number(unsigned number) {
  Digest digest;
  digest.bytes[0] = std::byte(number);
  return digest;
}

// The device's side: embeds, runs layers [0, first), and knows what the whole model would give.
class LocalHalf {
 public:
  LocalHalf(const Model& model, std::uint32_t first)
      : runner_(model, serial_), first_(first), state_(model.initial_state()), whole_(state_) {}

  // The request bytes for these tokens; expected() is then what the other half must answer.
  Buffer feed(std::span<const TokenId> tokens) {
    Buffer request;
    expected_.clear();
    for (const TokenId token : tokens) {
      Activation activation;
      runner_.embed(std::span(&token, 1), activation);
      Activation complete = activation;
      runner_.layers(LayerIndex{0}, LayerIndex{first_}, activation, state_);
      append(request, std::as_bytes(std::span(activation.x)));
      append(request, std::as_bytes(std::span(activation.v_first)));
      runner_.layers(LayerIndex{0}, LayerIndex{kConfig.layers}, complete, whole_);
      append(expected_, std::as_bytes(std::span(complete.x)));
    }
    return request;
  }
  const Buffer& expected() const { return expected_; }

 private:
  SerialParallel serial_;
  Runner runner_;
  std::uint32_t first_;
  RwkvState state_;
  RwkvState whole_;
  Buffer expected_;
};

class SplitServerTest : public testing::Test {
 protected:
  SplitServerTest() {
    SplitServer::OpenArtifact open =
        [this](Digest artifact) -> Task<Result<std::shared_ptr<PageSource>>> {
      ++opened_;
      if (artifact.bytes[0] == std::byte{0})
        co_return fail(Errc::kNotFound, "the artifact is not registered");
      co_return pages_;
    };
    server_ = std::make_unique<SplitServer>(real_.env(), SplitServerOptions{}, std::move(open));
  }
  static SplitOpen open_of(std::uint64_t session, std::uint32_t first = 1) {
    return {SessionId{session}, artifact_number(1), first, kConfig.layers};
  }
  Result<SplitOpened> open(DeviceId device, const SplitOpen& request) {
    return real_.run(server_->open(device, request));
  }
  Result<Envelope> step(DeviceId device, std::uint64_t session, std::uint64_t at,
                        std::uint32_t count, Buffer payload) {
    return real_.run(
        server_->step(device, {SessionId{session}, Step{at}, count}, std::move(payload)));
  }

  RealEnv real_{{.compute_threads = 2, .log_level = LogLevel::kError}};
  std::shared_ptr<test::MemoryPages> pages_ =
      std::make_shared<test::MemoryPages>(test::random_model(Format::kF32, kConfig));
  std::unique_ptr<Model> model_ = Model::open(*pages_).value();
  int opened_ = 0;
  std::unique_ptr<SplitServer> server_;
};

TEST_F(SplitServerTest, BothHalvesTogetherGiveTheWholeModelBitForBit) {
  LocalHalf half(*model_, 1);
  ASSERT_EQ(open(kDevice, open_of(7))->next, Step{0});
  std::uint64_t at = 0;
  for (const std::vector<TokenId>& tokens : {std::vector<TokenId>{3, 4, 5, 6}, {1}, {9, 9}, {31}}) {
    const auto count = static_cast<std::uint32_t>(tokens.size());
    const auto reply = step(kDevice, 7, at, count, half.feed(tokens));
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_EQ(reply->payload, half.expected());
    EXPECT_EQ(std::get<SplitResult>(reply->message), (SplitResult{SessionId{7}, Step{at}, count}));
    at += count;
  }
  EXPECT_EQ(server_->counters().tokens, 8U);
}

TEST_F(SplitServerTest, ARepeatedStepGetsTheStoredReplyAndChangesNothing) {
  LocalHalf half(*model_, 1);
  ASSERT_TRUE(open(kDevice, open_of(7)));
  const std::vector<TokenId> first = {3, 4};
  const std::vector<TokenId> second = {5};
  const Buffer request = half.feed(first);
  const auto reply = step(kDevice, 7, 0, 2, request);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(step(kDevice, 7, 0, 2, request)->payload, reply->payload);
  EXPECT_EQ(server_->counters().repeats, 3U);
  const Buffer next = half.feed(second);
  EXPECT_EQ(step(kDevice, 7, 2, 1, next)->payload, half.expected());
}

TEST_F(SplitServerTest, AnyOtherStepIsOutOfStep) {
  LocalHalf half(*model_, 1);
  ASSERT_TRUE(open(kDevice, open_of(7)));
  const std::vector<TokenId> tokens = {3};
  const Buffer first = half.feed(tokens);
  const Buffer second = half.feed(tokens);
  ASSERT_TRUE(step(kDevice, 7, 0, 1, first));
  ASSERT_TRUE(step(kDevice, 7, 1, 1, second));
  for (const std::uint64_t at : {0U, 3U, 100U})
    EXPECT_EQ(step(kDevice, 7, at, 1, first).error().code, Errc::kOutOfStep);
  EXPECT_EQ(step(kDevice, 7, 1, 1, first).error().code, Errc::kOutOfStep)
      << "the last step with other bytes is another step";
  EXPECT_TRUE(step(kDevice, 7, 1, 1, second)) << "and the session is where it was";
}

TEST_F(SplitServerTest, AnotherDeviceCannotReachASession) {
  LocalHalf half(*model_, 1);
  const std::vector<TokenId> tokens = {3};
  const Buffer request = half.feed(tokens);
  ASSERT_TRUE(open(kDevice, open_of(7)));
  EXPECT_EQ(step(kOther, 7, 0, 1, request).error().code, Errc::kNotFound);
  server_->close(kOther, SessionId{7});
  ASSERT_EQ(open(kOther, open_of(7, 2))->next, Step{0}) << "its own session of that number";
  EXPECT_EQ(step(kDevice, 7, 0, 1, request)->payload, half.expected());
}

TEST_F(SplitServerTest, OpeningAgainGoesOnWhereItWas) {
  LocalHalf half(*model_, 1);
  ASSERT_TRUE(open(kDevice, open_of(7)));
  const std::vector<TokenId> tokens = {3, 4};
  ASSERT_TRUE(step(kDevice, 7, 0, 2, half.feed(tokens)));
  EXPECT_EQ(open(kDevice, open_of(7))->next, Step{2});
  EXPECT_EQ(open(kDevice, open_of(7, 2)).error().code, Errc::kConflict);
  server_->close(kDevice, SessionId{7});
  EXPECT_EQ(open(kDevice, open_of(7, 2))->next, Step{0});
  EXPECT_EQ(opened_, 1) << "the model is loaded once";
}

TEST_F(SplitServerTest, AStepGivenUpHalfWayLeavesTheSessionAsItWas) {
  LocalHalf half(*model_, 1);
  ASSERT_TRUE(open(kDevice, open_of(7)));
  const std::vector<TokenId> many(64, 5);
  const Buffer request = half.feed(many);
  Task<void> abandoned = [](SplitServer& server, Buffer bytes) -> Task<void> {
    Task<Result<Envelope>> stepping =
        server.step(kDevice, {SessionId{7}, Step{0}, 64}, std::move(bytes));
    co_await std::move(stepping);
  }(*server_, request);
  Task<void> cut = [](Env env, Task<void> work) -> Task<void> {
    TaskGroup group(env.executor);
    group.spawn(std::move(work));
    Task<void> moment = env.clock.sleep_for(std::chrono::microseconds(200));
    co_await std::move(moment);
    Task<void> stopping = group.stop();
    co_await std::move(stopping);
  }(real_.env(), std::move(abandoned));
  real_.run(std::move(cut));
  // Whether it was given up in time or not, asking again gives the right answer.
  const auto reply = step(kDevice, 7, 0, 64, request);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->payload, half.expected());
}

TEST_F(SplitServerTest, RefusesStepsThatAreNotWhatTheySay) {
  LocalHalf half(*model_, 1);
  ASSERT_TRUE(open(kDevice, open_of(7)));
  const std::vector<TokenId> tokens = {3};
  Buffer request = half.feed(tokens);
  EXPECT_EQ(step(kDevice, 7, 0, 0, {}).error().code, Errc::kCorrupt);
  EXPECT_EQ(step(kDevice, 7, 0, 2, request).error().code, Errc::kCorrupt);
  EXPECT_EQ(step(kDevice, 7, 0, 1, Buffer(request.size() - 1)).error().code, Errc::kCorrupt);
  Buffer poisoned = request;
  store_le(poisoned, 8, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(step(kDevice, 7, 0, 1, poisoned).error().code, Errc::kCorrupt);
  EXPECT_TRUE(step(kDevice, 7, 0, 1, request));
}

TEST_F(SplitServerTest, RefusesLayersThatTheModelDoesNotHave) {
  SplitOpen wrong = open_of(7);
  wrong.end_layer = kConfig.layers + 1;
  EXPECT_EQ(open(kDevice, wrong).error().code, Errc::kUsage);
  wrong = open_of(7, kConfig.layers);
  EXPECT_EQ(open(kDevice, wrong).error().code, Errc::kUsage);
  wrong = open_of(7);
  wrong.artifact = artifact_number(0);
  EXPECT_EQ(open(kDevice, wrong).error().code, Errc::kNotFound);
}

TEST_F(SplitServerTest, HoldsABoundedNumberOfSessions) {
  for (std::uint64_t session = 1; session <= kMaxSessionsPerDevice + 2; ++session)
    ASSERT_TRUE(open(kDevice, open_of(session)));
  EXPECT_EQ(server_->sessions().size(), kMaxSessionsPerDevice) << "its oldest made room";
  std::uint64_t device = 2;
  while (server_->sessions().size() < kMaxSessions) {
    ASSERT_TRUE(open(DeviceId{device}, open_of(device % kMaxSessionsPerDevice)));
    ++device;
  }
  EXPECT_EQ(open(DeviceId{device}, open_of(1)).error().code, Errc::kOutOfRoom);
  server_->forget(kDevice);
  EXPECT_TRUE(open(DeviceId{device}, open_of(1)));
}

TEST_F(SplitServerTest, HoldsABoundedNumberOfModels) {
  for (unsigned number = 1; number <= kMaxSplitModels; ++number) {
    SplitOpen request = open_of(number);
    request.artifact = artifact_number(number);
    ASSERT_TRUE(open(kDevice, request));
  }
  SplitOpen more = open_of(77);
  more.artifact = artifact_number(99);
  EXPECT_EQ(open(kDevice, more).error().code, Errc::kOutOfRoom);
  server_->close(kDevice, SessionId{2});
  EXPECT_TRUE(open(kDevice, more)) << "a model nobody uses makes room";
}

TEST(SessionTable, IdleSessionsExpireAndBusyOnesDoNot) {
  SessionTable table(std::chrono::seconds(10));
  const auto session = [](std::uint64_t id) {
    auto made = std::make_shared<ServedSession>();
    made->device = kDevice;
    made->opened.session = SessionId{id};
    return made;
  };
  const Instant start{};
  auto busy = session(1);
  busy->busy = true;
  ASSERT_TRUE(table.add(busy, start));
  ASSERT_TRUE(table.add(session(2), start));
  table.expire(start + std::chrono::seconds(9));
  EXPECT_EQ(table.size(), 2U);
  table.expire(start + std::chrono::seconds(11));
  EXPECT_EQ(table.find(kDevice, SessionId{2}), nullptr);
  EXPECT_EQ(table.find(kDevice, SessionId{1}), busy);
}

}  // namespace
}  // namespace skein
