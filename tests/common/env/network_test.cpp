#include "common/env/network.h"

#include <gtest/gtest.h>

#include "common/env/real/real_env.h"

namespace skein {
namespace {

using Streams = std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>>;

class RealNetwork : public testing::Test {
 protected:
  std::unique_ptr<Listener> listen() {
    auto listener = env.network.listen({"127.0.0.1", 0}, nullptr);
    CHECK(listener.has_value());
    return std::move(*listener);
  }
  // Both ends of one connection: the client's first.
  Streams connected() {
    auto listener = listen();
    auto client = real.run(env.network.connect(listener->local(), nullptr));
    auto server = real.run(listener->accept());
    CHECK(client.has_value() && server.has_value());
    return {std::move(*client), std::move(*server)};
  }

  RealEnv real{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env = real.env();
};

Task<Result<Buffer>> read_all(Stream& stream) {
  Buffer all;
  Buffer part(4096);
  for (;;) {
    CO_TRY(const std::size_t got, co_await stream.read_some(part));
    if (got == 0) co_return all;
    append(all, ByteView(part).first(got));
  }
}

TEST_F(RealNetwork, CarriesManyBytesBothWaysAndAnOrderlyEnd) {
  auto [client, server] = connected();
  const std::string big(3'000'000, 'q');
  TaskGroup group(env.executor);
  auto send = [](std::unique_ptr<Stream> stream, const std::string& text) -> Task<void> {
    CHECK((co_await stream->write_all(as_bytes(text))).has_value());
    stream->close();
  };
  group.spawn(send(std::move(client), big));
  const auto got = real.run(read_all(*server));
  ASSERT_TRUE(got);
  EXPECT_EQ(as_text(*got), big);
  EXPECT_TRUE(server->peer().name.empty());
  EXPECT_NE(server->peer().address.find("127.0.0.1:"), std::string::npos);
}

TEST_F(RealNetwork, CloseEndsAPendingReadAsCancelled) {
  auto [client, server] = connected();
  Result<std::size_t> read = std::size_t{0};
  TaskGroup group(env.executor);
  auto wait = [](Stream& stream, Result<std::size_t>& out) -> Task<void> {
    Buffer part(10);
    out = co_await stream.read_some(part);
  };
  group.spawn(wait(*client, read));
  real.run(env.clock.sleep_for(std::chrono::milliseconds(2)));
  client->close();
  client->close();
  real.run(group.join());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kCancelled);
  EXPECT_EQ(real.run(client->write_all(as_bytes("x"))).error().code, Errc::kCancelled);
}

TEST_F(RealNetwork, AStreamMayBeDestroyedWhileItsReaderWaits) {
  auto [client, server] = connected();
  TaskGroup group(env.executor);
  auto wait = [](Stream& stream) -> Task<void> {
    Buffer part(10);
    EXPECT_FALSE(co_await stream.read_some(part));
  };
  group.spawn(wait(*client));
  real.run(env.clock.sleep_for(std::chrono::milliseconds(2)));
  client.reset();
  real.run(group.join());
}

TEST_F(RealNetwork, CancelledTasksLeaveReadAndAccept) {
  auto [client, server] = connected();
  auto listener = listen();
  TaskGroup group(env.executor);
  auto read = [](Stream& stream) -> Task<void> {
    Buffer part(10);
    (void)co_await stream.read_some(part);
  };
  auto accept = [](Listener& door) -> Task<void> { (void)co_await door.accept(); };
  group.spawn(read(*client));
  group.spawn(accept(*listener));
  real.run(env.clock.sleep_for(std::chrono::milliseconds(2)));
  real.run(group.stop());
  EXPECT_EQ(group.running(), 0U);
  // The stream itself is whole: a later reader gets what comes.
  ASSERT_TRUE(real.run(server->write_all(as_bytes("later"))));
  Buffer part(10);
  EXPECT_EQ(*real.run(client->read_some(part)), 5U);
}

TEST_F(RealNetwork, MoreConnectionsThanADoorHoldsWaitTheirTurn) {
  constexpr std::size_t kMany = 100;  // a door holds 64
  auto listener = listen();
  std::vector<std::unique_ptr<Stream>> clients;
  for (std::size_t i = 0; i < kMany; ++i) {
    auto client = real.run(env.network.connect(listener->local(), nullptr));
    ASSERT_TRUE(client);
    clients.push_back(std::move(*client));
  }
  for (std::size_t i = 0; i < kMany; ++i) ASSERT_TRUE(real.run(listener->accept())) << i;
}

TEST_F(RealNetwork, NobodyListeningIsUnavailable) {
  auto listener = listen();
  const Endpoint gone = listener->local();
  listener.reset();
  const auto stream = real.run(env.network.connect(gone, nullptr));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Errc::kUnavailable);
  EXPECT_EQ(stream.error().where, to_string(gone));
}

TEST_F(RealNetwork, ATakenAddressIsNamed) {
  auto listener = listen();
  const auto second = env.network.listen(listener->local(), nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnavailable);
  EXPECT_EQ(second.error().where, to_string(listener->local()));
}

TEST_F(RealNetwork, ClosingAListenerEndsItsAccept) {
  auto listener = listen();
  TaskGroup group(env.executor);
  Errc code = Errc::kUsage;
  auto accept = [](Listener& door, Errc& out) -> Task<void> {
    const auto stream = co_await door.accept();
    if (!stream) out = stream.error().code;
  };
  group.spawn(accept(*listener, code));
  real.run(env.clock.sleep_for(std::chrono::milliseconds(2)));
  listener->close();
  real.run(group.join());
  EXPECT_EQ(code, Errc::kCancelled);
}

TEST(Endpoint, IsWrittenAndReadBack) {
  for (const std::string text : {"127.0.0.1:7070", "[::1]:80", "coordinator:0"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(to_string(*endpoint), text);
  }
  for (const std::string text : {"", "host", ":80", "host:", "host:70000", "[::1:80", "h:8x"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

}  // namespace
}  // namespace skein
