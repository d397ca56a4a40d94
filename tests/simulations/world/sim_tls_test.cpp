#include <gtest/gtest.h>

#include "simulations/world/world.h"
#include "tests/support/certificate_house.h"

namespace skein {
namespace {

using test::House;

struct Met {
  Result<std::unique_ptr<Stream>> client = fail(Errc::kCancelled, "not run");
  std::unique_ptr<Stream> server;
};

class SimTls : public testing::Test {
 protected:
  Met meet(TlsOptions server, TlsOptions client) {
    auto listener =
        cloud.network.listen({"cloud", 7070}, std::make_shared<TlsOptions>(std::move(server)));
    CHECK(listener.has_value());
    Met met;
    met.client = world.run(
        device.network.connect({"cloud", 7070}, std::make_shared<TlsOptions>(std::move(client))));
    if (!met.client) return met;
    Task<Result<std::unique_ptr<Stream>>> accepting = (*listener)->accept();
    auto accepted = world.run(with_deadline(
        world.clock(), world.clock().now() + std::chrono::seconds(1), "", std::move(accepting)));
    if (accepted) met.server = std::move(*accepted);
    return met;
  }
  // What the client meets when it reads first.
  Errc first_read(Met& met) {
    Buffer byte(1);
    const auto read = world.run((*met.client)->read_some(byte));
    return read ? Errc::kFalse : read.error().code;
  }

  World world{{.seed = 3}};
  Env cloud = world.node_env("cloud");
  Env device = world.node_env("device");
  House house{1, world.clock().wall_now()};
};

TEST_F(SimTls, BothSidesLearnWhoTheOtherIs) {
  const Met met = meet(house.server_options(), house.device_options());
  ASSERT_TRUE(met.client) << to_string(met.client.error());
  ASSERT_TRUE(met.server);
  EXPECT_EQ((*met.client)->peer().name, "coordinator");
  EXPECT_EQ(met.server->peer().name, "device-7");
  EXPECT_EQ(met.server->peer().serial, 7U);
}

TEST_F(SimTls, TheFirstContactGetsTheAuthority) {
  TlsOptions server = house.server_options();
  server.peer_certificate_optional = true;
  const Met met =
      meet(server, {.authority_fingerprint = certificate_fingerprint(house.pem).value()});
  ASSERT_TRUE(met.client) << to_string(met.client.error());
  EXPECT_EQ((*met.client)->peer().authority_pem, house.pem);
  EXPECT_TRUE(met.server->peer().name.empty());
  EXPECT_EQ(meet(server, {.authority_fingerprint = Digest{}}).client.error().code, Errc::kRefused);
}

TEST_F(SimTls, ADeviceOfAnotherAuthorityLearnsItOnItsFirstRead) {
  const House other(2, world.clock().wall_now());
  TlsOptions client = house.device_options();
  client.identity = other.device();
  Met met = meet(house.server_options(), client);
  ASSERT_TRUE(met.client);
  EXPECT_FALSE(met.server);
  EXPECT_EQ(first_read(met), Errc::kRefused);
}

TEST_F(SimTls, ACertificateWithoutItsKeyIsRefused) {
  TlsOptions client = house.device_options();
  client.identity->private_key_pem = to_pem(test::key_of(99));
  Met met = meet(house.server_options(), client);
  EXPECT_FALSE(met.server);
  EXPECT_EQ(first_read(met), Errc::kRefused);
}

TEST_F(SimTls, AServerOfAnotherAuthorityOrNameIsRefused) {
  const House other(2, world.clock().wall_now());
  TlsOptions server = house.server_options();
  server.identity = other.server();
  EXPECT_EQ(meet(server, house.device_options()).client.error().code, Errc::kRefused);
  TlsOptions client = house.device_options();
  client.server_name = "elsewhere.test";
  EXPECT_EQ(meet(house.server_options(), client).client.error().code, Errc::kRefused);
}

TEST_F(SimTls, CertificatesExpireInVirtualTime) {
  world.run_until(Instant(2 * test::kYear));
  EXPECT_EQ(meet(house.server_options(), house.device_options()).client.error().code,
            Errc::kRefused);
}

TEST_F(SimTls, ADoorHoldsOnlySoManyThatNobodyTook) {
  const auto listener = cloud.network.listen({"cloud", 9}, nullptr);
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Stream>> clients;
  auto client = world.run(device.network.connect({"cloud", 9}, nullptr));
  while (client && clients.size() < 1000) {
    clients.push_back(std::move(*client));
    client = world.run(device.network.connect({"cloud", 9}, nullptr));
  }
  EXPECT_EQ(clients.size(), 64U);
  EXPECT_EQ(client.error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace skein
