// Calls over a link: replies, errors, deadlines, limits, and how a link ends.
#include "common/wire/peer.h"

#include <gtest/gtest.h>

#include "tests/common/wire/linked_peers.h"

namespace skein {
namespace {

using namespace test::durations;
using test::keep;
using test::LinkedPeers;
using test::LinkWorld;
using test::Outcome;

TEST(Peer, AnswersACallWithItsPayload) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome;
  world.run(keep(link.ask(5), outcome));
  ASSERT_TRUE(*outcome) << to_string(outcome->error());
  EXPECT_EQ((*outcome)->message, Message(UploadStatus{5, true}));
  EXPECT_EQ(as_text((*outcome)->payload), "payload");
  EXPECT_EQ(link.handler.last_name, "device-7");
  EXPECT_GT(link.edge->counters().frames_out, 1U);
  EXPECT_EQ(link.edge->counters().bytes_out, link.cloud->counters().bytes_in);
}

TEST(Peer, AnswersInterleavedCallsEachWithItsOwn) {
  LinkWorld world;
  LinkedPeers link(world);
  std::array<Outcome, 20> outcomes;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    world.spawn(keep(link.ask(100 - 5 * i), outcomes[i]));  // the last one answers first
  }
  Outcome last;
  world.run(keep(link.ask(200), last));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_TRUE(outcomes[i] && *outcomes[i]);
    EXPECT_EQ((**outcomes[i]).message, Message(UploadStatus{100 - 5 * i, true}));
  }
}

TEST(Peer, ACallMadeBeforeTheLinkRunsIsAnsweredOnceItDoes) {
  LinkWorld world;
  LinkedPeers serving(world);
  auto streams = test::make_stream_pair(world.env().executor, {"10.0.0.8", "device-8", 8, {}});
  Peer early(world.env(), std::move(streams.left), nullptr, {});
  Peer late(world.env(), std::move(streams.right), &serving.handler, {});
  std::optional<Result<void>> early_end, late_end;
  Outcome outcome;
  world.spawn(keep(early.call(UploadChunk{RoundId(1), 5}, {}, serving.in(60s)), outcome));
  world.spawn(LinkedPeers::keep(early.run(), early_end));
  world.spawn(LinkedPeers::keep(late.run(), late_end));
  world.run(world.clock.sleep_for(1s));
  ASSERT_TRUE(outcome && *outcome) << "no answer";
  EXPECT_EQ((*outcome)->message, Message(UploadStatus{5, true}));
  early.close();
  late.close();
  world.run(world.clock.sleep_for(1s));
  EXPECT_TRUE(early_end && late_end);
}

TEST(Peer, TheHandlersErrorBecomesTheCallersError) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome;
  world.run(keep(link.edge->call(FetchManifest{}, {}, link.in(5s)), outcome));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error(), (Error{Errc::kNotFound, "no such thing", "here", "look elsewhere"}));
  EXPECT_TRUE(link.edge->open());
}

TEST(Peer, ASideWithoutAHandlerRefusesRequests) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome;
  world.run(keep(link.cloud->call(FetchManifest{}, {}, link.in(5s)), outcome));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::kRefused);
}

TEST(Peer, APassedDeadlineCancelsTheHandler) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome;
  world.run(keep(link.edge->call(SplitClose{}, {}, link.in(3s)), outcome));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::kDeadline);
  world.settle();
  EXPECT_EQ(link.handler.unwound, 1U);
  EXPECT_EQ(link.handler.inside, 0U);

  world.run(keep(link.ask(1), outcome));  // and the link goes on
  EXPECT_TRUE(*outcome);
}

TEST(Peer, ACancelledCallerCancelsTheHandler) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome, later;
  {
    TaskGroup callers(world.env().executor);
    callers.spawn(keep(link.edge->call(SplitClose{}, {}, link.in(1h)), outcome));
    world.settle();
    EXPECT_EQ(link.handler.inside, 1U);
  }
  world.run(keep(link.ask(1), later));
  EXPECT_EQ(link.handler.unwound, 1U);
}

TEST(Peer, AReplyThatCrossesTheCancelIsIgnored) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome first, second;
  link.streams.to_left->frozen = true;  // the answer is under way when the deadline passes
  world.run(keep(link.ask(0, 2s), first));
  EXPECT_EQ(first->error().code, Errc::kDeadline);
  link.streams.to_left->frozen = false;
  link.streams.to_left->wake();
  world.run(keep(link.ask(3), second));
  ASSERT_TRUE(*second) << to_string(second->error());
  EXPECT_EQ((*second)->message, Message(UploadStatus{3, true}));
}

TEST(Peer, OurCallsBeyondTheLimitWaitInLine) {
  LinkWorld world;
  LinkedPeers link(world);
  std::vector<Outcome> outcomes(3 * kMaxInFlight);
  for (Outcome& outcome : outcomes) world.spawn(keep(link.ask(10), outcome));
  Outcome last;
  world.run(keep(link.ask(100), last));
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome && *outcome);
  EXPECT_EQ(link.handler.most_inside, kMaxInFlight);
}

TEST(Peer, TheDeathOfTheOtherSideFailsEveryCall) {
  LinkWorld world;
  LinkedPeers link(world);
  std::array<Outcome, kMaxInFlight + 5> outcomes;
  for (Outcome& outcome : outcomes) {
    world.spawn(keep(link.edge->call(SplitClose{}, {}, link.in(1h)), outcome));
  }
  world.settle();
  EXPECT_EQ(link.handler.inside, kMaxInFlight);

  link.streams.cut();
  world.run(link.both_ended());

  for (const Outcome& outcome : outcomes) {
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
  }
  EXPECT_EQ(link.handler.inside, 0U);
  EXPECT_EQ(link.handler.unwound, kMaxInFlight);
  EXPECT_EQ(link.edge_reason->error().code, Errc::kUnavailable);
  EXPECT_FALSE(link.edge->open());
}

TEST(Peer, CallsAfterTheEndFailAtOnce) {
  LinkWorld world;
  LinkedPeers link(world);
  link.edge->close();
  Outcome outcome;
  world.run(keep(link.ask(1), outcome));
  EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
}

TEST(Peer, ClosingSaysGoodbye) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome;
  world.run(keep(link.ask(1), outcome));
  world.spawn(keep(link.edge->call(SplitClose{}, {}, link.in(1h)), outcome));
  world.settle();
  link.cloud->close();
  world.run(link.both_ended());
  EXPECT_TRUE(*link.cloud_reason);
  ASSERT_FALSE(*link.edge_reason);
  EXPECT_NE(to_string(link.edge_reason->error()).find("this side closed the link"),
            std::string::npos);
  EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
}

TEST(Peer, ACancelledRunUnwindsEverythingFirst) {
  LinkWorld world;
  test::BusyHandler handler(world);
  auto streams = test::make_stream_pair(world.env().executor);
  Peer edge(world.env(), std::move(streams.left), nullptr, {});
  std::optional<Result<void>> edge_reason, cloud_reason;
  Outcome outcome;
  world.spawn(LinkedPeers::keep(edge.run(), edge_reason));
  {
    Peer cloud(world.env(), std::move(streams.right), &handler, {});
    TaskGroup owner(world.env().executor);
    owner.spawn(LinkedPeers::keep(cloud.run(), cloud_reason));
    world.spawn(keep(edge.call(SplitClose{}, {}, world.clock.now() + 1h), outcome));
    world.settle();
    EXPECT_EQ(handler.inside, 1U);
    world.run(owner.stop());
    EXPECT_EQ(handler.inside, 0U);
  }
  world.settle();
  EXPECT_TRUE(edge_reason.has_value());
  EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
}

TEST(Peer, MayBeDestroyedWhileACallerStillWaits) {
  LinkWorld world;
  Outcome outcome;
  {
    auto streams = test::make_stream_pair(world.env().executor);
    Peer edge(world.env(), std::move(streams.left), nullptr, {});
    world.spawn(keep(edge.call(SplitClose{}, {}, world.clock.now() + 1h), outcome));
    world.settle();
    EXPECT_FALSE(outcome);  // not even run() yet: the call waits
  }
  world.settle();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
}

TEST(Peer, KeepsAQuietLinkAlive) {
  LinkWorld world;
  LinkedPeers link(world);
  world.run(world.clock.sleep_for(10min));
  EXPECT_TRUE(link.edge->open());
  EXPECT_TRUE(link.cloud->open());
  const std::uint64_t frames = link.edge->counters().frames_out;
  EXPECT_GE(frames, 10min / 17s);  // pings of one side or the other, each with its pong
  EXPECT_LE(frames, 2 * 10min / 13s);
}

TEST(Peer, ClosesALinkThatFellSilent) {
  LinkWorld world;
  LinkedPeers link(world);
  world.settle();
  link.streams.to_left->frozen = true;
  link.streams.to_right->frozen = true;
  const Instant before = world.clock.now();
  world.run(link.both_ended());
  EXPECT_GE(world.clock.now() - before, 39s);
  EXPECT_LE(world.clock.now() - before, 42s);
  EXPECT_EQ(link.edge_reason->error().code, Errc::kUnavailable);
}

TEST(Peer, ClosesALinkThatTakesNoBytes) {
  LinkWorld world;
  PeerOptions options;
  options.write_limit = 5s;
  LinkedPeers link(world, options);
  world.settle();
  link.streams.to_right->frozen = true;
  Outcome outcome;
  const Instant before = world.clock.now();
  world.run(keep(link.edge->call(UploadChunk{}, Buffer(500'000), link.in(1h)), outcome));
  EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
  EXPECT_LE(world.clock.now() - before, 6s);
}

}  // namespace
}  // namespace skein
