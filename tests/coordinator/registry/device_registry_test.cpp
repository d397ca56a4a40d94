#include "coordinator/registry/device_registry.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "common/env/real/real_env.h"
#include "common/store/database.h"
#include "tests/coordinator/support/temp_folder.h"

namespace skein {
namespace {

SigningKey key_number(unsigned char number) {
  SigningKey key;
  key.seed.fill(std::byte{number});
  return key;
}

EnrolRequest request_of(const std::string& token, unsigned char key) {
  return {token, "arm-" + std::to_string(key),
          make_signing_request(key_number(key), "any").value()};
}

class DeviceRegistryTest : public testing::Test {
 protected:
  DeviceRegistryTest() { open(); }
  // As a restart does: everything in memory is new, files and rows are what they were.
  void open() {
    registry_.reset();
    store_ = open_sqlite_store(*database_).value();
    authority_ = real_.run(Authority::open(real_.env(), {folder_.path(), {"fleet.local"}})).value();
    registry_ = std::make_unique<DeviceRegistry>(real_.env(), *store_, *authority_);
    ASSERT_TRUE(registry_->restore());
  }
  std::string token() { return registry_->make_token(std::chrono::hours(1)).value().text; }
  PeerIdentity identity_of(const EnrolReply& reply) const {
    const auto facts = verify_certificate(reply.certificate_pem, reply.authority_pem,
                                          CertificateUse::kDevice, real_wall());
    return {"127.0.0.1:9", facts.value().common_name, facts.value().serial, ""};
  }
  WallTime real_wall() const { return wall_; }

  test::TempFolder folder_;
  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  WallTime wall_ = real_.env().clock.wall_now();
  std::unique_ptr<Database> database_ = Database::open_in_memory().value();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<DeviceRegistry> registry_;
};

TEST_F(DeviceRegistryTest, ATokenNamesTheAuthorityItTrusts) {
  const std::string text = token();
  ASSERT_EQ(text.size(), 32U + 1 + 64);
  EXPECT_EQ(text.substr(33), authority_->fingerprint().hex());
  EXPECT_EQ(authority_->fingerprint(),
            certificate_fingerprint(authority_->certificate_pem()).value());
}

TEST_F(DeviceRegistryTest, EnrollingGivesACertificateOfTheFleet) {
  const auto reply = registry_->enrol(request_of(token(), 1));
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->device, DeviceId{1});
  EXPECT_EQ(reply->artifact_key, authority_->artifact_public_key());
  EXPECT_EQ(registry_->identify(identity_of(*reply)), DeviceId{1});
}

TEST_F(DeviceRegistryTest, ATokenIsUsedOnceByOneKey) {
  const std::string once = token();
  const auto first = registry_->enrol(request_of(once, 1));
  ASSERT_TRUE(first);
  const auto again = registry_->enrol(request_of(once, 1));
  ASSERT_TRUE(again) << "a lost reply is asked for again";
  EXPECT_EQ(*again, *first);
  const auto thief = registry_->enrol(request_of(once, 2));
  ASSERT_FALSE(thief);
  EXPECT_EQ(thief.error().code, Errc::kRefused);
  EXPECT_EQ(registry_->devices().size(), 1U);
}

TEST_F(DeviceRegistryTest, TheSecretAloneIsEnoughAndIsNotStored) {
  const std::string text = token();
  ASSERT_TRUE(registry_->enrol(request_of(text.substr(0, 32), 1)));
  const auto rows = database_->select<Digest>("SELECT secret_hash FROM tokens");
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(std::get<0>(rows->front()).hex().find(text.substr(0, 32)), std::string::npos);
}

TEST_F(DeviceRegistryTest, RefusesUnknownAndExpiredTokens) {
  EXPECT_EQ(registry_->enrol(request_of(std::string(32, 'a'), 1)).error().code, Errc::kRefused);
  const std::string text = token();
  ASSERT_TRUE(database_->execute("UPDATE tokens SET expires = 1"));
  EXPECT_EQ(registry_->enrol(request_of(text, 1)).error().code, Errc::kRefused);
}

TEST_F(DeviceRegistryTest, RefusesASigningRequestThatDoesNotVerify) {
  EnrolRequest request = request_of(token(), 1);
  request.signing_request_pem.replace(request.signing_request_pem.size() / 2, 4, "AAAA");
  EXPECT_FALSE(registry_->enrol(request));
  request.signing_request_pem = "nonsense";
  EXPECT_FALSE(registry_->enrol(request));
}

TEST_F(DeviceRegistryTest, ARestartKeepsDevicesKeysAndTokens) {
  const std::string once = token();
  const std::string unused = token();
  const auto first = registry_->enrol(request_of(once, 1));
  ASSERT_TRUE(first);
  Heartbeat heartbeat;
  heartbeat.inventory = {"0.1.0", "avx2", 4, 1 << 30, 1 << 20, {{"zone", "b"}, {"arm", "left"}}};
  heartbeat.active = first->device == DeviceId{1} ? std::optional(Digest{}) : std::nullopt;
  ASSERT_TRUE(registry_->heard(first->device, heartbeat));
  ASSERT_TRUE(registry_->set_labels(first->device, {{"site", "lab \"7\""}}));
  const DeviceRow before = *registry_->find(first->device);
  const Digest fingerprint = authority_->fingerprint();
  const std::string server = authority_->server_identity().certificate_pem;

  open();

  EXPECT_EQ(*registry_->find(first->device), before);
  EXPECT_EQ(authority_->fingerprint(), fingerprint);
  EXPECT_EQ(authority_->server_identity().certificate_pem, server);
  EXPECT_EQ(*registry_->enrol(request_of(once, 1)), *first);
  EXPECT_EQ(registry_->enrol(request_of(unused, 2))->device, DeviceId{2});
}

TEST_F(DeviceRegistryTest, ARevokedDeviceIsRefusedForGood) {
  const std::string once = token();
  const auto reply = registry_->enrol(request_of(once, 1)).value();
  ASSERT_TRUE(registry_->revoke(reply.device));
  EXPECT_EQ(registry_->identify(identity_of(reply)).error().code, Errc::kRefused);
  EXPECT_EQ(registry_->enrol(request_of(once, 1)).error().code, Errc::kRefused);
  EXPECT_EQ(registry_->cordon(reply.device, false).error().code, Errc::kConflict);
}

TEST_F(DeviceRegistryTest, RefusesACertificateWhoseSerialIsNotTheDevices) {
  const auto reply = registry_->enrol(request_of(token(), 1)).value();
  PeerIdentity forged = identity_of(reply);
  forged.serial += 1;
  EXPECT_EQ(registry_->identify(forged).error().code, Errc::kRefused);
  EXPECT_EQ(registry_->identify({"127.0.0.1:9", "", 0, ""}).error().code, Errc::kRefused);
  EXPECT_EQ(registry_->identify({"127.0.0.1:9", "device-x", 0, ""}).error().code, Errc::kRefused);
}

TEST_F(DeviceRegistryTest, LabelsAreBoundedAndRemovable) {
  const auto id = registry_->enrol(request_of(token(), 1)).value().device;
  ASSERT_TRUE(registry_->set_labels(id, {{"site", "lab"}, {"zone", "a"}}));
  ASSERT_TRUE(registry_->set_labels(id, {{"site", ""}}));
  EXPECT_EQ(registry_->find(id)->labels, (Labels{{"zone", "a"}}));
  Labels many;
  for (std::size_t i = 0; i <= kMaxLabels; ++i) many["k" + std::to_string(i)] = "v";
  EXPECT_FALSE(registry_->set_labels(id, many));
  EXPECT_EQ(registry_->set_labels(DeviceId{99}, {}).error().code, Errc::kNotFound);
}

TEST_F(DeviceRegistryTest, ADamagedKeyFileIsNamedAndNotReplaced) {
  const std::string path = folder_.path("authority.key");
  std::ofstream(path) << "not a key";
  const auto opened = real_.run(Authority::open(real_.env(), {folder_.path(), {}}));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().where, path);
  std::stringstream left;
  left << std::ifstream(path).rdbuf();
  EXPECT_EQ(left.str(), "not a key");
}

TEST_F(DeviceRegistryTest, ANewHostNameGetsANewServerCertificateUnderTheSameAuthority) {
  const auto opened = real_.run(Authority::open(real_.env(), {folder_.path(), {"other.local"}}));
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->fingerprint(), authority_->fingerprint());
  EXPECT_NE((*opened)->server_identity().certificate_pem,
            authority_->server_identity().certificate_pem);
  EXPECT_TRUE(verify_certificate((*opened)->server_identity().certificate_pem,
                                 authority_->certificate_pem(), CertificateUse::kServer, wall_));
}

TEST_F(DeviceRegistryTest, KeysAreForThisUserOnly) {
  for (const char* name : {"authority.key", "server.key", "artifact.key"}) {
    const auto mode = std::filesystem::status(folder_.path(name)).permissions();
    EXPECT_EQ(mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
              std::filesystem::perms::none)
        << name;
  }
}

}  // namespace
}  // namespace skein
