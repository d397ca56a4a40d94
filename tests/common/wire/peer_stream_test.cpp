// Streamed answers: order, credit, slow and failing consumers.
#include <gtest/gtest.h>

#include "tests/common/wire/linked_peers.h"

namespace skein {
namespace {

using namespace test::durations;
using test::keep;
using test::LinkedPeers;
using test::LinkWorld;
using test::Outcome;

FetchPages pages(std::size_t count) {
  FetchPages request;
  for (std::size_t i = 0; i < count; ++i) {
    request.pages.emplace_back().bytes[0] = static_cast<std::byte>(i);
  }
  return request;
}

// Takes parts at its own pace and may refuse one.
struct Consumer {
  LinkWorld& world;
  Duration pace{};
  std::size_t refuse_at = SIZE_MAX;
  std::vector<Digest> got{};
  Peer::OnPart on_part() {
    return [this](Message part, Buffer payload) { return take(std::move(part), payload.size()); };
  }
  Task<Result<void>> take(Message part, std::size_t bytes) {
    co_await world.clock.sleep_for(pace);
    if (got.size() == refuse_at) co_return fail(Errc::kOutOfRoom, "the disk is full");
    EXPECT_GT(bytes, 0U);
    got.push_back(std::get<PagePart>(part).page);
    co_return Result<void>{};
  }
};

TEST(PeerStream, PartsComeInOrderThenTheReply) {
  LinkWorld world;
  LinkedPeers link(world);
  Consumer consumer{world};
  Outcome outcome;
  world.run(keep(link.edge->call_streaming(pages(200), consumer.on_part(), 30s), outcome));
  ASSERT_TRUE(*outcome) << to_string(outcome->error());
  EXPECT_EQ((*outcome)->message, Message(Ack{}));
  EXPECT_EQ(consumer.got, pages(200).pages);
}

TEST(PeerStream, ASlowConsumerHoldsTheSenderWithinTheWindow) {
  LinkWorld world;
  LinkedPeers link(world);
  Consumer consumer{world, 1s};
  Outcome outcome;
  world.spawn(keep(link.edge->call_streaming(pages(100), consumer.on_part(), 30s), outcome));
  for (int second = 0; second < 40; ++second) {
    world.run(world.clock.sleep_for(1s));
    const std::uint64_t sent = link.streams.to_left->carried;
    const std::uint64_t taken = consumer.got.size() * (link.handler.page_bytes + 100);
    EXPECT_LE(sent, taken + kCreditWindow + (2U << 10)) << "at second " << second;
  }
  EXPECT_GE(consumer.got.size(), 38U);
  Outcome other;  // others are served meanwhile
  world.run(keep(link.ask(1, 1s), other));
  EXPECT_TRUE(*other);
  world.run(world.clock.sleep_for(70s));
  ASSERT_TRUE(outcome && *outcome);
  EXPECT_EQ(consumer.got.size(), 100U);
}

TEST(PeerStream, AnErrorOfTheConsumerCancelsTheRequest) {
  LinkWorld world;
  LinkedPeers link(world);
  Consumer consumer{world, 0s, 3};
  Outcome outcome;
  world.run(keep(link.edge->call_streaming(pages(200), consumer.on_part(), 30s), outcome));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::kOutOfRoom);
  world.settle();
  EXPECT_EQ(link.handler.inside, 0U);
  EXPECT_LT(link.handler.parts_sent, 60U);
  EXPECT_TRUE(link.edge->open());
}

TEST(PeerStream, TheIdleLimitBoundsTheWaitForEachPart) {
  LinkWorld world;
  LinkedPeers link(world);
  Consumer consumer{world};
  Outcome outcome;
  world.run(keep(link.edge->call_streaming(SplitClose{}, consumer.on_part(), 7s), outcome));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::kDeadline);
  world.settle();
  EXPECT_EQ(link.handler.unwound, 1U);
}

TEST(PeerStream, PartsThatHaveArrivedAreGivenOutBeforeTheLinksEnd) {
  LinkWorld world;
  LinkedPeers link(world);
  Consumer consumer{world, 1s};
  Outcome outcome;
  world.spawn(keep(link.edge->call_streaming(pages(200), consumer.on_part(), 30s), outcome));
  world.run(world.clock.sleep_for(2500ms));
  link.streams.cut();
  world.run(world.clock.sleep_for(60s));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->error().code, Errc::kUnavailable);
  EXPECT_GT(consumer.got.size(), 30U);
}

TEST(PeerStream, APlainCallDropsThePartsNobodyAskedFor) {
  LinkWorld world;
  LinkedPeers link(world);
  Outcome outcome;
  world.run(keep(link.edge->call(pages(200), {}, link.in(30s)), outcome));
  EXPECT_TRUE(*outcome);
}

TEST(PeerStream, TheLargestPartPasses) {
  LinkWorld world;
  LinkedPeers link(world);
  link.handler.page_bytes = kMaxPayloadBytes;
  Consumer consumer{world};
  Outcome outcome;
  world.run(keep(link.edge->call_streaming(pages(10), consumer.on_part(), 30s), outcome));
  EXPECT_TRUE(*outcome);
}

}  // namespace
}  // namespace skein
