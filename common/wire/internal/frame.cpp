#include "common/wire/internal/frame.h"

#include <algorithm>
#include <string>

#include "common/base/check.h"
#include "common/wire/internal/crc32c.h"

namespace skein::wire {
namespace {

constexpr std::uint32_t kMagic = 0x4B534B53;  // "SKSK"
// Offsets of the header's fields.
constexpr std::size_t kAtMagic = 0, kAtLayout = 4, kAtKind = 5, kAtType = 6, kAtId = 8,
                      kAtMessageBytes = 16, kAtPayloadBytes = 20, kAtBodyCheck = 24,
                      kAtHeaderCheck = 28;

struct BodyLimits {
  std::size_t message;
  std::size_t payload;
};

constexpr BodyLimits limits_of(FrameKind kind) {
  switch (kind) {
    case FrameKind::kRequest:
    case FrameKind::kReply:
    case FrameKind::kPart:
      return {kMaxMessageBytes, kMaxPayloadBytes};
    case FrameKind::kGoodbye:
      return {0, kMaxText};
    case FrameKind::kHello:
      return {0, 64};  // room for what later versions add
    case FrameKind::kCredit:
      return {0, 4};
    case FrameKind::kCancel:
    case FrameKind::kPing:
    case FrameKind::kPong:
      return {0, 0};
  }
  return {0, 0};
}

}  // namespace

std::size_t size_on_wire(const Frame& frame) {
  return kFrameHeaderBytes + frame.message.size() + frame.payload.size();
}

Buffer encode_frame(const Frame& frame) {
  const BodyLimits limits = limits_of(frame.kind);
  CHECK(frame.message.size() <= limits.message);
  CHECK(frame.payload.size() <= limits.payload);
  Buffer out;
  out.reserve(size_on_wire(frame));
  out.resize(kFrameHeaderBytes);
  store_le(MutableByteView(out), kAtMagic, kMagic);
  store_le(MutableByteView(out), kAtLayout, kFrameLayout);
  store_le(MutableByteView(out), kAtKind, frame.kind);
  store_le(MutableByteView(out), kAtType, frame.type);
  store_le(MutableByteView(out), kAtId, frame.id);
  store_le(MutableByteView(out), kAtMessageBytes, static_cast<std::uint32_t>(frame.message.size()));
  store_le(MutableByteView(out), kAtPayloadBytes, static_cast<std::uint32_t>(frame.payload.size()));
  store_le(MutableByteView(out), kAtBodyCheck, crc32c(frame.payload, crc32c(frame.message)));
  store_le(MutableByteView(out), kAtHeaderCheck, crc32c(ByteView(out).first(kAtHeaderCheck)));
  append(out, frame.message);
  append(out, frame.payload);
  return out;
}

Frame hello_frame() {
  Frame hello;
  hello.kind = FrameKind::kHello;
  append_le(hello.payload, kProtocolVersion);  // lowest we speak
  append_le(hello.payload, kProtocolVersion);  // highest
  return hello;
}

Result<void> check_hello(const Frame& frame) {
  if (frame.kind != FrameKind::kHello || frame.payload.size() < 4) {
    return fail(Errc::kCorrupt, "the link did not begin with a greeting");
  }
  const auto lowest = load_le<std::uint16_t>(frame.payload, 0);
  const auto highest = load_le<std::uint16_t>(frame.payload, 2);
  if (lowest > kProtocolVersion || highest < kProtocolVersion) {
    return fail(Errc::kUnsupported,
                "the other side speaks protocol " + std::to_string(lowest) + " to " +
                    std::to_string(highest) + ", this one " + std::to_string(kProtocolVersion),
                {}, "upgrade the older side");
  }
  return {};
}

Result<std::vector<Frame>> FrameReader::feed(ByteView bytes) {
  std::vector<Frame> frames;
  const auto take = [&bytes](std::size_t wanted) {
    const ByteView taken = bytes.first(std::min(wanted, bytes.size()));
    bytes = bytes.subspan(taken.size());
    return taken;
  };
  while (!bytes.empty()) {
    if (header_have_ < kFrameHeaderBytes) {
      const ByteView taken = take(kFrameHeaderBytes - header_have_);
      std::copy(taken.begin(), taken.end(), header_.begin() + std::ptrdiff_t(header_have_));
      header_have_ += taken.size();
      if (header_have_ < kFrameHeaderBytes) break;
      TRY_VOID(read_header());
    }
    append(frame_.message, take(message_bytes_ - frame_.message.size()));
    append(frame_.payload, take(payload_bytes_ - frame_.payload.size()));
    if (frame_.message.size() < message_bytes_ || frame_.payload.size() < payload_bytes_) break;
    TRY_VOID(finish_body());
    frames.push_back(std::exchange(frame_, Frame{}));
    header_have_ = 0;
  }
  return frames;
}

Result<void> FrameReader::read_header() {
  const ByteView header(header_);
  if (load_le<std::uint32_t>(header, kAtMagic) != kMagic) {
    return fail(Errc::kCorrupt, "what came over the link is not a frame", {},
                "check that the other side is a Skein device or coordinator");
  }
  if (const auto layout = load_le<std::uint8_t>(header, kAtLayout); layout != kFrameLayout) {
    return fail(Errc::kUnsupported, "frames of layout " + std::to_string(layout), {},
                "upgrade the older side");
  }
  if (load_le<std::uint32_t>(header, kAtHeaderCheck) != crc32c(header.first(kAtHeaderCheck))) {
    return fail(Errc::kCorrupt, "a frame header's checksum differs");
  }
  const auto kind = load_le<std::uint8_t>(header, kAtKind);
  if (kind < unsigned(FrameKind::kHello) || kind > unsigned(FrameKind::kGoodbye)) {
    return fail(Errc::kUnsupported, "there is no frame kind " + std::to_string(kind), {},
                "upgrade the older side");
  }
  frame_.kind = static_cast<FrameKind>(kind);
  frame_.type = load_le<std::uint16_t>(header, kAtType);
  frame_.id = load_le<std::uint64_t>(header, kAtId);
  message_bytes_ = load_le<std::uint32_t>(header, kAtMessageBytes);
  payload_bytes_ = load_le<std::uint32_t>(header, kAtPayloadBytes);
  const BodyLimits limits = limits_of(frame_.kind);
  if (message_bytes_ > limits.message || payload_bytes_ > limits.payload) {
    return fail(Errc::kCorrupt, "a frame announces " + std::to_string(message_bytes_) + " + " +
                                    std::to_string(payload_bytes_) + " bytes, over the limit");
  }
  return {};
}

Result<void> FrameReader::finish_body() {
  const std::uint32_t check = crc32c(frame_.payload, crc32c(frame_.message));
  if (load_le<std::uint32_t>(ByteView(header_), kAtBodyCheck) != check) {
    return fail(Errc::kCorrupt, "a frame body's checksum differs");
  }
  return {};
}

}  // namespace skein::wire
