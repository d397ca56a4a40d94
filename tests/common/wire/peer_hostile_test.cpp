// One Peer against a side that writes its own frames.
#include <gtest/gtest.h>

#include "common/wire/internal/frame.h"
#include "tests/common/wire/linked_peers.h"

namespace skein {
namespace {

using namespace test::durations;
using test::LinkedPeers;
using test::LinkWorld;
using wire::Frame;
using wire::FrameKind;

// The far end of a link, by hand.
struct RawSide {
  explicit RawSide(LinkWorld& w) : world(w), handler(w) {
    auto streams = test::make_stream_pair(w.env().executor);
    stream = std::move(streams.left);
    streams.to_left->capacity = 16 << 20;
    peer = std::make_unique<Peer>(w.env(), std::move(streams.right), &handler, PeerOptions{});
    world.spawn(LinkedPeers::keep(peer->run(), reason));
  }
  ~RawSide() {
    stream->close();
    world.run(world.clock.sleep_for(5s));
  }
  Task<void> write(Buffer bytes) {
    const auto written = co_await stream->write_all(bytes);
    if (!written) EXPECT_FALSE(peer->open());
  }
  void send(const Frame& frame) { world.run(write(encode_frame(frame))); }
  void greet() { send(wire::hello_frame()); }
  void request(std::uint64_t id, const Message& message) {
    send(Frame{FrameKind::kRequest, type_of(message), id, encode_message(message), {}});
  }
  // Everything the peer has written so far.
  std::vector<Frame> read() {
    world.settle();
    std::vector<Frame> all;
    world.run(read_into(all));
    return all;
  }
  Task<void> read_into(std::vector<Frame>& all) {
    Buffer buffer(8 << 20);
    const auto count = co_await stream->read_some(buffer);
    if (!count) co_return;
    auto frames = reader.feed(ByteView(buffer).first(*count));
    EXPECT_TRUE(frames);
    all = std::move(*frames);
  }
  Error ended() {
    world.run(world.clock.sleep_for(3s));
    EXPECT_TRUE(reason.has_value());
    return reason && !*reason ? reason->error() : Error{};
  }

  LinkWorld& world;
  test::BusyHandler handler;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Peer> peer;
  wire::FrameReader reader;
  std::optional<Result<void>> reason;
};

Result<Message> message_of(const Frame& frame) { return decode_message(frame.type, frame.message); }

TEST(HostilePeer, AnotherProtocolIsRefusedWithASentence) {
  LinkWorld world;
  RawSide raw(world);
  Frame hello = wire::hello_frame();
  store_le(MutableByteView(hello.payload), 0, std::uint16_t{7});
  store_le(MutableByteView(hello.payload), 2, std::uint16_t{8});
  raw.send(hello);
  EXPECT_EQ(raw.ended().code, Errc::kUnsupported);
  const auto frames = raw.read();
  ASSERT_EQ(frames.back().kind, FrameKind::kGoodbye);
  EXPECT_EQ(as_text(frames.back().payload),
            "the other side speaks protocol 7 to 8, this one 1: upgrade the older side");
}

TEST(HostilePeer, ALinkBeginsWithAGreeting) {
  LinkWorld world;
  RawSide raw(world);
  raw.request(1, FetchManifest{});
  EXPECT_EQ(raw.ended().code, Errc::kCorrupt);
  EXPECT_EQ(raw.handler.most_inside, 0U);
}

TEST(HostilePeer, GarbageEndsTheLink) {
  LinkWorld world;
  RawSide raw(world);
  raw.greet();
  world.run(raw.write(Buffer(100, std::byte{0x5A})));
  EXPECT_EQ(raw.ended().code, Errc::kCorrupt);
}

TEST(HostilePeer, SilenceInsteadOfAGreetingEndsTheLink) {
  LinkWorld world;
  RawSide raw(world);
  world.run(world.clock.sleep_for(41s));
  EXPECT_EQ(raw.ended().code, Errc::kUnavailable);
}

TEST(HostilePeer, ExcessRequestsAreRefusedOneByOne) {
  LinkWorld world;
  RawSide raw(world);
  raw.greet();
  for (std::uint64_t id = 1; id <= kMaxInFlight + 3; ++id) raw.request(id, SplitClose{});
  const auto frames = raw.read();
  ASSERT_EQ(frames.size(), 1U + 3U);
  for (std::size_t i = 1; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].id, kMaxInFlight + i);
    const auto refusal = message_of(frames[i]);
    ASSERT_TRUE(refusal);
    EXPECT_EQ(std::get<ErrorReply>(*refusal).error.code, Errc::kOutOfRoom);
  }
  EXPECT_EQ(raw.handler.inside, kMaxInFlight);

  raw.send(Frame{FrameKind::kCancel, 0, 5, {}, {}});  // makes room for one
  raw.request(99, UploadChunk{});
  world.run(world.clock.sleep_for(1s));
  EXPECT_EQ(raw.read().back().id, 99U);
}

TEST(HostilePeer, ABadMessageIsRefusedAndTheLinkGoesOn) {
  LinkWorld world;
  RawSide raw(world);
  raw.greet();
  raw.send(Frame{FrameKind::kRequest, 18, 1, Buffer(16, std::byte{0xFF}), {}});
  raw.send(Frame{FrameKind::kRequest, 9999, 2, {}, {}});
  raw.request(3, UploadChunk{});
  const auto frames = raw.read();
  ASSERT_EQ(frames.size(), 4U);
  EXPECT_EQ(std::get<ErrorReply>(*message_of(frames[1])).error.code, Errc::kCorrupt);
  EXPECT_EQ(std::get<ErrorReply>(*message_of(frames[2])).error.code, Errc::kUnsupported);
  EXPECT_EQ(*message_of(frames[3]), Message(UploadStatus{0, true}));
}

TEST(HostilePeer, BrokenRulesEndTheLink) {
  Frame credit{FrameKind::kCredit, 0, 1, {}, {}};
  append_le(credit.payload, std::uint32_t{1});
  const Message close = SplitClose{};
  const Frame request{FrameKind::kRequest, type_of(close), 1, encode_message(close), {}};
  const std::vector<std::vector<Frame>> stories = {
      {wire::hello_frame()},                      // greeted twice
      {request, request},                         // an id in use
      {request, credit},                          // credit that was never used
      {Frame{FrameKind::kReply, 5, 1, {}, {}}},   // an answer without a question
      {Frame{FrameKind::kPart, 19, 77, {}, {}}},  // a part without a question
  };
  for (const auto& story : stories) {
    LinkWorld world;
    RawSide raw(world);
    raw.greet();
    for (const Frame& frame : story) raw.send(frame);
    EXPECT_EQ(raw.ended().code, Errc::kCorrupt) << "story " << &story - stories.data();
    EXPECT_EQ(raw.handler.inside, 0U);
  }
}

TEST(HostilePeer, AskingWithoutReadingEndsTheLink) {
  LinkWorld world;
  RawSide raw(world);
  raw.greet();
  const Buffer ping = encode_frame(Frame{});
  Buffer many;
  for (int i = 0; i < 600'000 / 32; ++i) append(many, ping);
  for (int i = 0; i < 40 && !raw.reason; ++i) world.run(raw.write(many));
  EXPECT_EQ(raw.ended().code, Errc::kUnavailable);
}

TEST(HostilePeer, PartsBeyondTheCreditEndTheLink) {
  LinkWorld world;
  RawSide raw(world);
  raw.greet();
  std::optional<Result<Envelope>> outcome;
  auto never = [&](Message, Buffer) -> Task<Result<void>> {
    co_await world.clock.sleep_for(1h);
    co_return Result<void>{};
  };
  const Peer::OnPart on_part = never;
  auto keep = [](Task<Result<Envelope>> call, auto& out) -> Task<void> {
    out = co_await std::move(call);
  };
  world.spawn(keep(raw.peer->call_streaming(FetchPages{}, on_part, 10s), outcome));
  world.settle();
  const Message part = PagePart{};
  for (int i = 0; i < 5 && !raw.reason; ++i) {
    raw.send(
        Frame{FrameKind::kPart, type_of(part), 1, encode_message(part), Buffer(kMaxPayloadBytes)});
  }
  EXPECT_EQ(raw.ended().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace skein
