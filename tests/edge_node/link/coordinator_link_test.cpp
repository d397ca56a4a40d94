// Over real TLS on loopback.
#include "edge_node/link/coordinator_link.h"

#include <gtest/gtest.h>

#include "tests/edge_node/tls_coordinator.h"

namespace skein {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class Duty final : public HeartbeatDuty {
 public:
  Heartbeat compose() override {
    Heartbeat beat;
    beat.slot_generation = ++composed;
    return beat;
  }
  void answered(const HeartbeatReply&) override { answers += 1; }
  std::uint64_t composed = 0;
  int answers = 0;
};

class CoordinatorLinkTest : public testing::Test {
 protected:
  ~CoordinatorLinkTest() override {
    real_.run(link_.stop());
    real_.run(tasks_.stop());
    real_.run(coordinator_.stop());
  }
  void start() { tasks_.spawn(link_.run()); }
  // True when `what` became true within a few seconds.
  bool soon(const std::function<bool()>& what) {
    for (int i = 0; i < 500 && !what(); ++i) real_.run(env_.clock.sleep_for(10ms));
    return what();
  }
  LinkOptions options() {
    coordinator_.listen();
    return {.coordinator = coordinator_.endpoint(),
            .token = coordinator_.token(),
            .device_name = "arm-1",
            .directory = folder_.path() + "/identity",
            .server_name = "127.0.0.1"};
  }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env_ = real_.env();
  test::ScopedFolder folder_;
  test::TlsCoordinator coordinator_{env_};
  Duty duty_;
  CoordinatorLink link_{env_, options(), duty_};
  TaskGroup tasks_{env_.executor};
};

TEST_F(CoordinatorLinkTest, EnrolsThenSpeaksAsTheDeviceItsCertificateNames) {
  start();
  ASSERT_TRUE(soon([&] { return duty_.answers >= 2; }));
  EXPECT_EQ(coordinator_.enrolled.size(), 1U);
  EXPECT_EQ(coordinator_.enrolled[0].first, "arm-1");
  EXPECT_EQ(coordinator_.last_device, "device-7");
  EXPECT_EQ(link_.identity()->artifact_key, test::kArtifactKey.public_key());
  const Instant deadline = env_.clock.now() + 1s;
  EXPECT_TRUE(real_.run(link_.wait_connected(deadline)));
}

TEST_F(CoordinatorLinkTest, KeepsItsIdentityOverARestart) {
  start();
  ASSERT_TRUE(soon([&] { return duty_.answers >= 1; }));
  real_.run(link_.stop());
  Duty duty;
  LinkOptions again{.coordinator = coordinator_.endpoint(),
                    .token = "",
                    .device_name = "arm-1",
                    .directory = folder_.path() + "/identity",
                    .server_name = ""};
  CoordinatorLink second(env_, again, duty);
  ASSERT_TRUE(real_.run(second.load()));
  ASSERT_TRUE(second.identity());
  tasks_.spawn(second.run());
  EXPECT_TRUE(soon([&] { return duty.answers >= 1; }));
  EXPECT_EQ(coordinator_.enrolled.size(), 1U);
  real_.run(second.stop());
  real_.run(tasks_.stop());
}

TEST_F(CoordinatorLinkTest, EnrolsAgainWithTheSameKeyWhenTheReplyWasLost) {
  coordinator_.loses_enrol_reply = true;
  start();
  ASSERT_TRUE(soon([&] { return duty_.answers >= 1; }));
  ASSERT_EQ(coordinator_.enrolled.size(), 2U);
  EXPECT_EQ(coordinator_.enrolled[0].second, coordinator_.enrolled[1].second);
}

TEST_F(CoordinatorLinkTest, RedialsAfterACutAndFailsCallsMeanwhile) {
  start();
  ASSERT_TRUE(soon([&] { return duty_.answers >= 1; }));
  coordinator_.cut();
  ASSERT_TRUE(soon([&] { return !link_.connected(); }));
  const auto refused = real_.run(link_.call(FetchManifest{}, {}, env_.clock.now() + 1s));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnavailable);
  const int before = duty_.answers;
  EXPECT_TRUE(soon([&] { return duty_.answers > before; }));
}

TEST_F(CoordinatorLinkTest, SendsTheNextHeartbeatAtOnceWhenThereIsNews) {
  coordinator_.interval_ms = 3'600'000;
  start();
  ASSERT_TRUE(soon([&] { return duty_.answers == 1; }));
  link_.heartbeat_soon();
  EXPECT_TRUE(soon([&] { return duty_.answers == 2; }));
}

TEST_F(CoordinatorLinkTest, RefusesACoordinatorThatTheTokenDoesNotName) {
  Digest another;
  another.bytes[0] = std::byte{1};
  const EnrolToken token{"secret." + another.hex(), another};
  const EnrolOptions options{coordinator_.endpoint(), token, "arm-2", folder_.path() + "/other"};
  const auto refused = real_.run(enrol(env_, options));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(coordinator_.enrolled.empty());
}

TEST_F(CoordinatorLinkTest, IgnoresADamagedIdentityAndKeepsTheKey) {
  start();
  ASSERT_TRUE(soon([&] { return duty_.answers >= 1; }));
  const std::string directory = folder_.path() + "/identity";
  const std::string broken = "{";
  ASSERT_TRUE(real_.run(replace_file(env_.disk, directory + "/identity.json", as_bytes(broken))));
  const auto loaded = real_.run(load_identity(env_, directory));
  ASSERT_TRUE(loaded);
  EXPECT_FALSE(loaded->has_value());
  const auto key = real_.run(load_or_make_key(env_, directory));
  EXPECT_EQ(key->public_key(), link_.identity()->key.public_key());
}

TEST(EnrolToken, IsASecretAndTheAuthoritysFingerprint) {
  const std::string fingerprint(64, 'a');
  const auto token = parse_enrol_token("word.word2." + fingerprint + "\n");
  ASSERT_TRUE(token);
  EXPECT_EQ(token->authority.hex(), fingerprint);
  EXPECT_EQ(token->text, "word.word2." + fingerprint);
  for (const std::string bad : {"", "word", ".", "word.abc", "word."}) {
    EXPECT_FALSE(parse_enrol_token(bad)) << bad;
  }
  EXPECT_FALSE(parse_enrol_token("." + fingerprint));
}

}  // namespace
}  // namespace skein
