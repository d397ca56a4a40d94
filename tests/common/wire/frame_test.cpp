#include "common/wire/internal/frame.h"

#include <gtest/gtest.h>

#include <random>

#include "common/wire/internal/crc32c.h"

namespace skein::wire {
namespace {

Frame random_frame(std::mt19937_64& bits) {
  Frame frame;
  frame.kind = static_cast<FrameKind>(2 + bits() % 3);  // the kinds that carry messages
  frame.type = static_cast<std::uint16_t>(bits());
  frame.id = bits();
  frame.message.resize(bits() % 300);
  frame.payload.resize(bits() % 2 == 0 ? 0 : bits() % 5000);
  for (std::byte& byte : frame.message) byte = static_cast<std::byte>(bits());
  for (std::byte& byte : frame.payload) byte = static_cast<std::byte>(bits());
  return frame;
}

TEST(Crc32c, MatchesThePublishedValues) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283U);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(Buffer(32)), 0x8A9136AAU);
  EXPECT_EQ(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))), 0xE3069283U);
}

TEST(FrameReader, GivesBackTheFramesHoweverTheBytesAreCut) {
  std::mt19937_64 bits(1);
  std::vector<Frame> sent;
  Buffer bytes;
  for (int i = 0; i < 60; ++i) {
    sent.push_back(random_frame(bits));
    append(bytes, encode_frame(sent.back()));
  }
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{31}, std::size_t{4096}, bytes.size()}) {
    FrameReader reader;
    std::vector<Frame> got;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      auto frames = reader.feed(ByteView(bytes).subspan(at, std::min(step, bytes.size() - at)));
      ASSERT_TRUE(frames) << to_string(frames.error());
      for (Frame& frame : *frames) got.push_back(std::move(frame));
    }
    EXPECT_EQ(got, sent) << "cut every " << step;
  }
}

TEST(FrameReader, RefusesAnyFlippedBit) {
  std::mt19937_64 bits(2);
  const Buffer bytes = encode_frame(random_frame(bits));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Buffer damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    FrameReader reader;
    const auto frames = reader.feed(damaged);
    EXPECT_FALSE(frames && !frames->empty()) << "bit " << bit;
  }
}

// A header with its checksum mended, as a hostile side would send it.
Buffer header_with(FrameKind kind, std::uint32_t message_bytes, std::uint32_t payload_bytes) {
  Buffer header = encode_frame(Frame{kind, 1, 1, {}, {}});
  store_le(MutableByteView(header), 16, message_bytes);
  store_le(MutableByteView(header), 20, payload_bytes);
  store_le(MutableByteView(header), 28, crc32c(ByteView(header).first(28)));
  return header;
}

TEST(FrameReader, RefusesLengthsOverTheLimitBeforeAnyBody) {
  const auto refused = [](FrameKind kind, std::uint32_t message, std::uint32_t payload) {
    FrameReader reader;
    const auto frames = reader.feed(header_with(kind, message, payload));
    return !frames && frames.error().code == Errc::kCorrupt;
  };
  EXPECT_TRUE(refused(FrameKind::kRequest, kMaxMessageBytes + 1, 0));
  EXPECT_TRUE(refused(FrameKind::kPart, 0, kMaxPayloadBytes + 1));
  EXPECT_TRUE(refused(FrameKind::kReply, 0xFFFFFFFF, 0xFFFFFFFF));
  EXPECT_TRUE(refused(FrameKind::kPing, 0, 1));
  EXPECT_TRUE(refused(FrameKind::kCredit, 0, 5));
  EXPECT_FALSE(refused(FrameKind::kRequest, kMaxMessageBytes, kMaxPayloadBytes));
}

TEST(FrameReader, SaysWhenItIsNotAFrameOrALaterOne) {
  FrameReader http;
  const auto stray = http.feed(as_bytes("GET / HTTP/1.1\r\nHost: edge\r\n\r\n      "));
  ASSERT_FALSE(stray);
  EXPECT_EQ(stray.error().code, Errc::kCorrupt);

  Buffer later = encode_frame(Frame{});
  later[4] = std::byte{2};
  FrameReader reader;
  const auto frames = reader.feed(later);
  ASSERT_FALSE(frames);
  EXPECT_EQ(frames.error().code, Errc::kUnsupported);
}

TEST(FrameReader, SurvivesNoise) {
  std::mt19937_64 bits(3);
  for (int round = 0; round < 3000; ++round) {
    Buffer bytes = encode_frame(random_frame(bits));
    append(bytes, encode_frame(random_frame(bits)));
    for (int flips = 0; flips < 3; ++flips) bytes[bits() % bytes.size()] = std::byte(bits());
    bytes.resize(bits() % (bytes.size() + 1));
    FrameReader reader;
    const auto frames = reader.feed(bytes);
    EXPECT_TRUE(!frames || frames->size() <= 2);
  }
}

TEST(Hello, OnlyAProtocolWeSpeakIsWelcome) {
  EXPECT_TRUE(check_hello(hello_frame()));
  Frame later = hello_frame();
  store_le(MutableByteView(later.payload), 0, std::uint16_t{2});
  store_le(MutableByteView(later.payload), 2, std::uint16_t{3});
  const auto refused = check_hello(later);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_EQ(to_string(refused.error()),
            "the other side speaks protocol 2 to 3, this one 1: upgrade the older side");
  Frame range = hello_frame();  // one that also speaks later ones, and says more
  store_le(MutableByteView(range.payload), 2, std::uint16_t{9});
  range.payload.resize(40);
  EXPECT_TRUE(check_hello(range));
  EXPECT_FALSE(check_hello(Frame{}));
}

}  // namespace
}  // namespace skein::wire
