// Frames: what a link carries, 32 bytes of header and a body. The layout and a worked example are
// in schemas/README.md. Pure; any thread, one reader per link direction.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/wire/messages.h"

namespace skein::wire {

enum class FrameKind : std::uint8_t {  // travels: never renumber
  kHello = 1,                          // first frame each way; payload: lowest and highest protocol
  kRequest = 2,
  kReply = 3,
  kPart = 4,    // one of many before the reply
  kCredit = 5,  // payload: bytes of parts the caller has taken
  kCancel = 6,
  kPing = 7,
  kPong = 8,
  kGoodbye = 9,  // payload: the reason, for people
};

struct Frame {
  FrameKind kind = FrameKind::kPing;
  std::uint16_t type = 0;  // of the message
  std::uint64_t id = 0;    // of the request it belongs to; chosen by the caller, 0 = none
  Buffer message;
  Buffer payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::uint8_t kFrameLayout = 1;
inline constexpr std::size_t kFrameHeaderBytes = 32;

// CHECKs the limits: our side made it.
Buffer encode_frame(const Frame& frame);
Frame hello_frame();
// Can we talk? Errc::kUnsupported says what to do.
Result<void> check_hello(const Frame& frame);
std::size_t size_on_wire(const Frame& frame);

// Turns bytes, however they were cut, into frames. After an error it is spent.
class FrameReader {
 public:
  // The frames these bytes complete. Keeps at most one unfinished frame, which grows as its bytes
  // arrive. Errc::kCorrupt, or kUnsupported for another layout.
  Result<std::vector<Frame>> feed(ByteView bytes);

 private:
  Result<void> read_header();
  Result<void> finish_body();

  std::array<std::byte, kFrameHeaderBytes> header_{};
  std::size_t header_have_ = 0;
  std::size_t message_bytes_ = 0;
  std::size_t payload_bytes_ = 0;
  Frame frame_;
};

}  // namespace skein::wire
