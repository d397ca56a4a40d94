#include <gtest/gtest.h>

#include "simulations/world/world.h"

namespace skein {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Pair {
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};

struct Fixture {
  explicit Fixture(FaultPlan plan = {}) : world({.seed = 5, .faults = plan}) {}

  Pair connect() {
    auto client = world.run(a.network.connect({"b", 7070}, nullptr));
    CHECK(client.has_value());
    auto server = world.run(listener->accept());
    CHECK(server.has_value());
    return {std::move(*client), std::move(*server)};
  }
  Result<std::size_t> read(Stream& stream) {
    Buffer part(1 << 20);
    return world.run(stream.read_some(part));
  }
  Instant now() { return world.clock().now(); }

  World world;
  Env a = world.node_env("a");
  Env b = world.node_env("b");
  std::unique_ptr<Listener> listener = std::move(*b.network.listen({"b", 7070}, nullptr));
};

Task<Result<std::string>> read_all(Stream& stream) {
  std::string all;
  Buffer part(1000);
  for (;;) {
    CO_TRY(const std::size_t got, co_await stream.read_some(part));
    if (got == 0) co_return all;
    all += as_text(ByteView(part).first(got));
  }
}

Task<void> write_then_close(std::unique_ptr<Stream> stream, std::string text) {
  CHECK((co_await stream->write_all(as_bytes(text))).has_value());
  stream->close();
}

TEST(SimNetwork, CarriesBytesInOrderThroughLossAndShortReads) {
  FaultPlan plan;
  plan.link.loss = 0.05;
  plan.short_read = 0.5;
  Fixture f(plan);
  auto [client, server] = f.connect();
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + " ";
  TaskGroup group(f.a.executor);
  group.spawn(write_then_close(std::move(client), text));
  const auto got = f.world.run(read_all(*server));
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(*got, text);
}

TEST(SimNetwork, LatencyAndBandwidthTakeTheirTime) {
  FaultPlan plan;
  plan.link = {.latency = milliseconds(100), .jitter = 0, .bytes_per_second = 1e6};
  Fixture f(plan);
  auto [client, server] = f.connect();
  EXPECT_EQ(f.now(), Instant(milliseconds(200)));
  TaskGroup group(f.a.executor);
  group.spawn(write_then_close(std::move(client), std::string(1'000'000, 'x')));
  ASSERT_TRUE(f.world.run(read_all(*server)));
  const Duration took = f.now() - Instant(milliseconds(200));
  EXPECT_GT(took, milliseconds(1050));
  EXPECT_LT(took, milliseconds(1200));
}

TEST(SimNetwork, AFullWindowHoldsTheWriterBack) {
  Fixture f;
  auto [client, server] = f.connect();
  bool written = false;
  auto write = [](Stream& stream, bool& done) -> Task<void> {
    const Buffer much(1 << 20);
    done = (co_await stream.write_all(much)).has_value();
  };
  TaskGroup group(f.a.executor);
  group.spawn(write(*client, written));
  EXPECT_EQ(f.world.run_until(Instant(seconds(60))), RunEnd::kIdle);
  EXPECT_FALSE(written);
  std::size_t got = 0;
  while (got < (1 << 20)) got += f.read(*server).value();
  EXPECT_TRUE(written);
}

TEST(SimNetwork, CutLinksBreakBothWays) {
  Fixture f;
  auto [client, server] = f.connect();
  f.world.cut_link("a", "b");
  ASSERT_TRUE(f.world.run(client->write_all(as_bytes("to b"))));
  ASSERT_TRUE(f.world.run(server->write_all(as_bytes("to a"))));
  const Instant cut_at = f.now();
  EXPECT_EQ(f.read(*client).error().code, Errc::kUnavailable);
  EXPECT_EQ(f.read(*server).error().code, Errc::kUnavailable);
  EXPECT_EQ(f.now() - cut_at, FaultPlan{}.patience);
  const auto again = f.world.run(f.a.network.connect({"b", 7070}, nullptr));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kDeadline);
}

TEST(SimNetwork, AHealedLinkDeliversWhatItHeld) {
  Fixture f;
  auto [client, server] = f.connect();
  f.world.cut_link("a", "b");
  ASSERT_TRUE(f.world.run(client->write_all(as_bytes("one "))));
  ASSERT_TRUE(f.world.run(client->write_all(as_bytes("two"))));
  f.world.run_until(f.now() + seconds(5));
  f.world.heal("a", "b");
  client->close();
  EXPECT_EQ(*f.world.run(read_all(*server)), "one two");
}

TEST(SimNetwork, AOneWayCutLetsTheOtherDirectionThrough) {
  Fixture f;
  auto [client, server] = f.connect();
  f.world.cut_one_way("a", "b");
  ASSERT_TRUE(f.world.run(server->write_all(as_bytes("hello"))));
  EXPECT_EQ(f.read(*client).value(), 5U);
  ASSERT_TRUE(f.world.run(client->write_all(as_bytes("lost"))));
  EXPECT_EQ(f.read(*server).error().code, Errc::kUnavailable);
}

TEST(SimNetwork, ACrashBreaksStreamsAndDoors) {
  Fixture f;
  auto [client, server] = f.connect();
  f.world.crash("b");
  EXPECT_EQ(f.read(*server).error().code, Errc::kCancelled);
  EXPECT_EQ(f.read(*client).error().code, Errc::kUnavailable);
  EXPECT_EQ(f.world.run(f.listener->accept()).error().code, Errc::kCancelled);
  EXPECT_EQ(f.world.run(f.a.network.connect({"b", 7070}, nullptr)).error().code,
            Errc::kUnavailable);
  EXPECT_FALSE(f.b.network.listen({"b", 7070}, nullptr));
  Env reborn = f.world.node_env("b");
  const auto listener = reborn.network.listen({"b", 7070}, nullptr);
  ASSERT_TRUE(listener);
  EXPECT_TRUE(f.world.run(f.a.network.connect({"b", 7070}, nullptr)));
}

TEST(SimNetwork, CloseIsOrderlyForThePeerAndCancelsItsOwnWaits) {
  Fixture f;
  auto [client, server] = f.connect();
  ASSERT_TRUE(f.world.run(client->write_all(as_bytes("bye"))));
  client->close();
  client->close();
  EXPECT_EQ(f.read(*client).error().code, Errc::kCancelled);
  EXPECT_EQ(*f.world.run(read_all(*server)), "bye");
  ASSERT_TRUE(f.world.run(server->write_all(as_bytes("anybody?"))));
  f.world.run_until(f.now() + seconds(1));
  EXPECT_EQ(f.world.run(server->write_all(as_bytes("no"))).error().code, Errc::kUnavailable);
}

TEST(SimNetwork, CancelledTasksLeaveReadAcceptAndConnect) {
  Fixture f;
  auto [client, server] = f.connect();
  f.world.cut_link("a", "b");
  TaskGroup group(f.a.executor);
  auto read = [](Stream& stream) -> Task<void> {
    Buffer part(10);
    (void)co_await stream.read_some(part);
  };
  auto accept = [](Listener& listener) -> Task<void> { (void)co_await listener.accept(); };
  auto connect = [](Network& network) -> Task<void> {
    const Endpoint to{"b", 7070};
    (void)co_await network.connect(to, nullptr);
  };
  group.spawn(read(*client));
  group.spawn(accept(*f.listener));
  group.spawn(connect(f.a.network));
  f.world.run_until(f.now() + seconds(1));
  const Instant before = f.now();
  f.world.run(group.stop());
  EXPECT_EQ(f.now(), before);
}

TEST(SimNetwork, PortsAreTakenOncePerNode) {
  Fixture f;
  EXPECT_EQ(f.b.network.listen({"0.0.0.0", 7070}, nullptr).error().code, Errc::kUnavailable);
  EXPECT_TRUE(f.a.network.listen({"0.0.0.0", 7070}, nullptr));
  const auto any = f.b.network.listen({"b", 0}, nullptr);
  ASSERT_TRUE(any);
  EXPECT_NE((*any)->local().port, 0);
  const Endpoint own{"127.0.0.1", (*any)->local().port};
  EXPECT_TRUE(f.world.run(f.b.network.connect(own, nullptr)));
  EXPECT_EQ(f.world.run(f.a.network.connect({"nobody", 1}, nullptr)).error().code,
            Errc::kUnavailable);
}

TEST(SimNetwork, RandomCutsHealAndTheCalmIsCalm) {
  FaultPlan plan;
  plan.cuts_per_minute = 20;
  plan.longest_cut = seconds(40);
  plan.calm_from = Instant(seconds(600));
  Fixture f(plan);
  f.world.run_until(plan.calm_from);
  int cuts = 0;
  for (const std::string& line : f.world.recent()) {
    cuts += line.find("net.cut") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(cuts, 5);
  auto [client, server] = f.connect();
  ASSERT_TRUE(f.world.run(client->write_all(as_bytes("calm"))));
  EXPECT_EQ(f.read(*server).value(), 4U);
  EXPECT_EQ(f.world.run_until(Instant(seconds(10'000))), RunEnd::kIdle);
}

}  // namespace
}  // namespace skein
