#include <gtest/gtest.h>

#include "common/env/network.h"
#include "common/env/real/real_env.h"
#include "tests/support/certificate_house.h"

namespace skein {
namespace {

using test::device_request;
using test::House;
using test::key_of;
using test::kYear;

struct Outcome {
  Result<std::unique_ptr<Stream>> client = fail(Errc::kCancelled, "not run");
  std::unique_ptr<Stream> server;
};

class Tls : public testing::Test {
 protected:
  TlsOptions server_options() const { return house.server_options(); }
  TlsOptions device_options() const { return house.device_options(); }

  // The client connects and, where that went well, exchanges one byte each way.
  Outcome meet(TlsOptions server, TlsOptions client) {
    auto listener =
        env.network.listen({"127.0.0.1", 0}, std::make_shared<TlsOptions>(std::move(server)));
    CHECK(listener.has_value());
    Outcome outcome;
    TaskGroup group(env.executor);
    group.spawn(admit(**listener, outcome));
    outcome.client = real.run(
        env.network.connect((*listener)->local(), std::make_shared<TlsOptions>(std::move(client))));
    if (outcome.client) {
      Buffer byte(1);
      const auto echoed = real.run(exchange(**outcome.client, byte));
      if (!echoed) outcome.client = tl::unexpected<Error>(echoed.error());
    }
    real.run(group.stop());
    return outcome;
  }

  static Task<void> admit(Listener& listener, Outcome& outcome) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    outcome.server = std::move(*stream);
    Buffer byte(1);
    if (co_await outcome.server->read_some(byte)) {
      (void)co_await outcome.server->write_all(byte);
    }
  }
  static Task<Result<void>> exchange(Stream& stream, MutableByteView byte) {
    CO_TRY_VOID(co_await stream.write_all(byte));
    CO_TRY(const std::size_t got, co_await stream.read_some(byte));
    if (got == 0) co_return fail(Errc::kUnavailable, "the server ended the link");
    co_return Result<void>{};
  }

  RealEnv real{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env = real.env();
  House house{1, env.clock.wall_now()};
};

TEST_F(Tls, BothSidesLearnWhoTheOtherIs) {
  const Outcome met = meet(server_options(), device_options());
  ASSERT_TRUE(met.client) << to_string(met.client.error());
  ASSERT_TRUE(met.server);
  EXPECT_EQ((*met.client)->peer().name, "coordinator");
  EXPECT_EQ(met.server->peer().name, "device-7");
  EXPECT_EQ(met.server->peer().serial, 7U);
  EXPECT_TRUE((*met.client)->peer().authority_pem.empty());
}

TEST_F(Tls, ChecksTheServersName) {
  for (const std::string name : {"Coordinator.Test", "127.0.0.1"}) {
    TlsOptions client = device_options();
    client.server_name = name;
    EXPECT_TRUE(meet(server_options(), client).client) << name;
  }
  TlsOptions client = device_options();
  client.server_name = "elsewhere.test";
  const Outcome met = meet(server_options(), client);
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused);
  EXPECT_FALSE(met.server);
}

TEST_F(Tls, TheFirstContactFindsTheAuthorityByItsFingerprint) {
  TlsOptions server = server_options();
  server.peer_certificate_optional = true;
  const TlsOptions client{.authority_fingerprint = certificate_fingerprint(house.pem).value()};
  const Outcome met = meet(server, client);
  ASSERT_TRUE(met.client) << to_string(met.client.error());
  EXPECT_TRUE(met.server->peer().name.empty());
  EXPECT_EQ(certificate_fingerprint((*met.client)->peer().authority_pem).value(),
            client.authority_fingerprint);
}

TEST_F(Tls, AWrongFingerprintIsRefused) {
  TlsOptions server = server_options();
  server.peer_certificate_optional = true;
  const Outcome met = meet(server, {.authority_fingerprint = Digest{}});
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused);
}

TEST_F(Tls, ADeviceWithoutACertificateIsRefusedWhereOneIsNeeded) {
  const Outcome met = meet(server_options(), {.authority_pem = house.pem});
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused) << to_string(met.client.error());
  EXPECT_FALSE(met.server);
}

TEST_F(Tls, ADeviceOfAnotherAuthorityIsRefused) {
  const House other(2, env.clock.wall_now());
  TlsOptions client = device_options();
  client.identity = other.device();
  const Outcome met = meet(server_options(), client);
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused) << to_string(met.client.error());
  EXPECT_FALSE(met.server);
}

TEST_F(Tls, AServerOfAnotherAuthorityIsRefused) {
  const House other(2, env.clock.wall_now());
  TlsOptions server = server_options();
  server.identity = other.server();
  const Outcome met = meet(server, device_options());
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused);
  EXPECT_FALSE(met.server);
}

TEST_F(Tls, AnExpiredDeviceIsRefused) {
  const WallTime now = env.clock.wall_now();
  CertificateRequest expired = device_request();
  expired.validity = {now - kYear, now - std::chrono::hours(1)};
  TlsOptions client = device_options();
  client.identity = house.identity(7, expired);
  const Outcome met = meet(server_options(), client);
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused);
  EXPECT_FALSE(met.server);
}

TEST_F(Tls, ADeviceCannotPlayTheServer) {
  TlsOptions server = server_options();
  server.identity = house.device();
  const Outcome met = meet(server, device_options());
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kRefused);
}

TEST_F(Tls, AnUnusableIdentityOfOurOwnSaysSo) {
  TlsOptions client = device_options();
  client.identity->private_key_pem = to_pem(key_of(99));
  const Outcome met = meet(server_options(), client);
  ASSERT_FALSE(met.client);
  EXPECT_EQ(met.client.error().code, Errc::kCorrupt);
}

TEST_F(Tls, TheOrderlyEndArrivesAsZeroBytes) {
  Outcome met = meet(server_options(), device_options());
  ASSERT_TRUE(met.client);
  ASSERT_TRUE(met.server);
  met.server->close();
  Buffer byte(1);
  const auto end = real.run((*met.client)->read_some(byte));
  ASSERT_TRUE(end) << to_string(end.error());
  EXPECT_EQ(*end, 0U);
}

TEST_F(Tls, CloseEndsAPendingReadAsCancelled) {
  Outcome met = meet(server_options(), device_options());
  ASSERT_TRUE(met.client);
  Errc code = Errc::kUsage;
  auto read = [](Stream& stream, Errc& out) -> Task<void> {
    Buffer byte(1);
    const auto got = co_await stream.read_some(byte);
    if (!got) out = got.error().code;
  };
  TaskGroup group(env.executor);
  group.spawn(read(**met.client, code));
  real.run(env.clock.sleep_for(std::chrono::milliseconds(2)));
  (*met.client)->close();
  real.run(group.join());
  EXPECT_EQ(code, Errc::kCancelled);
  Buffer byte(1);
  EXPECT_EQ(real.run(met.server->read_some(byte)).value(), 0U);  // and the server sees the end
}

Task<void> connect_plainly(Network& network, Endpoint to, std::unique_ptr<Stream>& out) {
  auto stream = co_await network.connect(to, nullptr);
  CHECK(stream.has_value());
  out = std::move(*stream);
}

TEST_F(Tls, ASilentPeerDoesNotHoldUpTheOthers) {
  auto listener =
      env.network.listen({"127.0.0.1", 0}, std::make_shared<TlsOptions>(server_options()));
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Stream>> silent(20);
  for (auto& stream : silent) {
    real.run(connect_plainly(env.network, (*listener)->local(), stream));
  }
  Outcome outcome;
  TaskGroup group(env.executor);
  group.spawn(admit(**listener, outcome));
  const auto client = real.run(
      env.network.connect((*listener)->local(), std::make_shared<TlsOptions>(device_options())));
  ASSERT_TRUE(client);
  Buffer byte(1);
  EXPECT_TRUE(real.run(exchange(**client, byte)));
  real.run(group.join());
}

TEST_F(Tls, BytesThatAreNoHandshakeAreRefused) {
  auto listener =
      env.network.listen({"127.0.0.1", 0}, std::make_shared<TlsOptions>(server_options()));
  ASSERT_TRUE(listener);
  std::unique_ptr<Stream> plain;
  real.run(connect_plainly(env.network, (*listener)->local(), plain));
  ASSERT_TRUE(real.run(plain->write_all(as_bytes("GET / HTTP/1.1\r\n\r\n"))));
  Buffer answer(100);
  std::size_t more = 1;
  while (more > 0) more = real.run(plain->read_some(answer)).value_or(0);  // an alert, then the end
}

}  // namespace
}  // namespace skein
