// A coordinator and its devices over real TLS, files and SQLite.
#include "coordinator/app/coordinator.h"

#include "common/crypto/sha256.h"
#include "tests/coordinator/support/coordinator_house.h"
#include "tests/support/golden_model.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::CoordinatorHouse;
using test::WireDevice;

TEST(Coordinator, EnrolsADeviceOverTlsAndAnswersItsHeartbeat) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  const auto enrolled = device.enrol(house.enrol_token());
  ASSERT_TRUE(enrolled) << to_string(enrolled.error());
  Heartbeat said;
  said.inventory = {"0.1.0", "avx2", 2, 1 << 30, 1 << 30, {{"site", "lab"}}};
  const auto reply = device.beat(said);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->interval_ms, 100U);
  EXPECT_GT(reply->wall_seconds, 1'700'000'000);

  const auto devices = house.http("GET", "/api/v1/devices");
  const auto& shown = devices["devices"].as_array().at(0).as_object();
  EXPECT_EQ(shown.at("isa").as_string(), "avx2");
  EXPECT_EQ(shown.at("labels").as_object().at("site").as_string(), "lab");
  EXPECT_TRUE(shown.at("online").as_bool());
}

TEST(Coordinator, ATokenEnrolsOneKeyOnceAndAnsweringAgainIsHarmless) {
  CoordinatorHouse house;
  const std::string token = house.enrol_token();
  WireDevice first(house, 1);
  const auto enrolled = first.enrol(token);
  ASSERT_TRUE(enrolled);
  EXPECT_EQ(first.enrol(token), enrolled);
  WireDevice thief(house, 2);
  const auto refused = thief.enrol(token);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kRefused);
}

TEST(Coordinator, APeerWithoutACertificateMayOnlyEnrol) {
  CoordinatorHouse house;
  WireDevice stranger(house, 1);
  ASSERT_TRUE(stranger.dial(house.enrol_token().substr(33)));
  const Digest some = sha256(as_bytes("x"));
  for (const Message& request :
       {Message(Heartbeat{}), Message(FetchManifest{some}), Message(FetchPages{{some}}),
        Message(SplitOpen{SessionId{1}, some, 1, 2}), Message(SplitClose{SessionId{1}}),
        Message(UploadBegin{})}) {
    const auto reply = stranger.call(request);
    ASSERT_FALSE(reply) << name_of(request);
    EXPECT_EQ(reply.error().code, Errc::kRefused) << name_of(request);
  }
}

TEST(Coordinator, RefusesACertificateThatItsAuthorityDidNotSign) {
  CoordinatorHouse house;
  const std::string token = house.enrol_token();
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(token));

  // The right names and serial, signed by somebody else.
  const WallTime now = house.real.env().clock.wall_now();
  const Validity validity{now - std::chrono::hours(1), now + std::chrono::hours(1)};
  SigningKey other;
  other.seed.fill(std::byte{77});
  const std::string authority = make_authority(other, "skein authority", 1, validity).value();
  const auto facts = verify_certificate(device.certificate_pem, device.authority_pem,
                                        CertificateUse::kDevice, now);
  const CertificateRequest request{facts->common_name,      device.key.public_key(), {},
                                   CertificateUse::kDevice, facts->serial,           validity};
  WireDevice forger(house, 1);
  forger.certificate_pem = issue_certificate(other, authority, request).value();
  forger.authority_pem = authority;
  const auto dialled = forger.dial(token.substr(33));
  EXPECT_FALSE(dialled && forger.beat({})) << "a forged certificate was let in";

  // One flipped bit in the real one.
  WireDevice tampered(house, 1);
  tampered.authority_pem = device.authority_pem;
  tampered.certificate_pem = device.certificate_pem;
  char& letter = tampered.certificate_pem[tampered.certificate_pem.size() - 60];
  letter = letter == 'A' ? 'B' : 'A';
  const auto tried = tampered.dial(token.substr(33));
  EXPECT_FALSE(tried && tampered.beat({})) << "a tampered certificate was let in";
  EXPECT_TRUE(device.beat({})) << "the real one goes on";
}

TEST(Coordinator, ARevokedDeviceIsRefusedAtItsNextRequestAndAtItsNextLink) {
  CoordinatorHouse house;
  const std::string token = house.enrol_token();
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(token));
  ASSERT_EQ(house.http("POST", "/api/v1/devices/1/revoke").status, 200);
  EXPECT_EQ(device.beat({}).error().code, Errc::kRefused);
  const auto dialled = device.dial(token.substr(33));
  EXPECT_FALSE(dialled && device.beat({}));
}

// The whole of an update, with the coordinator killed after every step of it.
TEST(Coordinator, ARolloutReachesADeviceAcrossRestarts) {
  CoordinatorHouse house;
  const std::string fingerprint = house.enrol_token().substr(33);
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  const auto restart = [&] {
    device.hang_up();
    house.restart();
    ASSERT_TRUE(device.dial(fingerprint));
  };
  restart();
  auto sample = test::sample_artifact(1, 12);
  const Digest artifact = house.publish(sample);
  restart();
  const auto made =
      house.http("POST", "/api/v1/rollouts", "{\"artifact\":\"" + artifact.hex() + "\"}");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made["state"].as_string(), "ready");
  restart();
  ASSERT_EQ(house.http("POST", "/api/v1/rollouts/1/start").status, 200);
  restart();

  Heartbeat said;
  auto reply = device.beat(said);
  ASSERT_TRUE(reply && reply->offer) << "the fleet's only device is offered the artifact";
  EXPECT_EQ(reply->offer->artifact, artifact);
  EXPECT_GT(reply->offer->total_bytes, 0U);
  restart();
  ASSERT_TRUE(device.beat(said)->offer) << "and again, until it is done";
  const auto manifest = device.fetch(artifact);
  ASSERT_TRUE(manifest) << to_string(manifest.error());
  EXPECT_EQ(*manifest, sample.manifest());
  said.steps = {{RolloutId{1}, artifact, DeviceStep::kEvaluating, "", 1000, 12}};
  ASSERT_EQ(device.beat(said)->recorded.size(), 1U);
  restart();
  said.steps[0].step = DeviceStep::kCommitted;
  said.active = artifact;
  said.slot_generation = 1;
  reply = device.beat(said);
  EXPECT_FALSE(reply->offer);
  restart();
  const auto done = house.http("GET", "/api/v1/rollouts/1");
  EXPECT_EQ(done["state"].as_string(), "finished");
  EXPECT_EQ(done["counts"].as_object().at("committed").as_int64(), 1);
  EXPECT_EQ(done["steps"].as_array().at(0).as_object().at("bytes_fetched").as_int64(), 1000);
}

TEST(Coordinator, GivesOutOnlyWhatIsRegistered) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  const Digest nowhere = sha256(as_bytes("nowhere"));
  EXPECT_EQ(device.stream(FetchManifest{nowhere}).error().code, Errc::kNotFound);
  const auto pages = device.stream(FetchPages{{nowhere}});
  ASSERT_TRUE(pages);
  EXPECT_TRUE(pages->empty());
}

TEST(Coordinator, ComputesTheUpperLayersForADevice) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  const test::GoldenModel golden;
  const Digest artifact = house.publish(*golden.artifact);
  const ModelConfig& config = golden.model->config();
  ASSERT_TRUE(device.call(SplitOpen{SessionId{5}, artifact, 1, config.layers}));

  SerialParallel serial;
  Runner runner(*golden.model, serial);
  RwkvState state = golden.model->initial_state();
  Activation activation;
  const TokenId token = 3;
  runner.embed(std::span(&token, 1), activation);
  runner.layers(LayerIndex{0}, LayerIndex{1}, activation, state);
  Buffer request = to_buffer(std::as_bytes(std::span(activation.x)));
  append(request, std::as_bytes(std::span(activation.v_first)));
  const auto reply = device.call(SplitStep{SessionId{5}, Step{0}, 1}, request);
  ASSERT_TRUE(reply) << to_string(reply.error());
  runner.layers(LayerIndex{1}, LayerIndex{config.layers}, activation, state);
  EXPECT_EQ(reply->payload, to_buffer(std::as_bytes(std::span(activation.x))));

  const auto sessions = house.http("GET", "/api/v1/sessions");
  EXPECT_EQ(sessions["sessions"].as_array().at(0).as_object().at("step").as_int64(), 1);
  WireDevice other(house, 2);
  ASSERT_TRUE(other.enrol(house.enrol_token()));
  EXPECT_EQ(other.call(SplitStep{SessionId{5}, Step{0}, 1}, request).error().code, Errc::kNotFound);
}

TEST(Coordinator, DrainsAndThenIsGone) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  house.real.run(house.coordinator->drain());
  EXPECT_FALSE(device.beat({}));
  house.restart();
  EXPECT_EQ(house.http("GET", "/health").status, 200);
}

}  // namespace
}  // namespace skein
