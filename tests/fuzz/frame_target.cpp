// What came over a link: the bytes as they are, and once more with their checksums made right, as
// no mutation would make them. However the bytes are cut, the frames must be the same.
#include <algorithm>

#include "common/wire/internal/crc32c.h"
#include "common/wire/internal/frame.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using namespace skein;
using wire::Frame;
using wire::FrameReader;

constexpr std::size_t kBodyCheckAt = 24;
constexpr std::size_t kHeaderCheckAt = 28;

Buffer with_right_checksums(ByteView input) {
  Buffer out = to_buffer(input);
  MutableByteView rest(out);
  while (rest.size() >= wire::kFrameHeaderBytes) {
    const std::uint64_t body =
        std::uint64_t{load_le<std::uint32_t>(rest, 16)} + load_le<std::uint32_t>(rest, 20);
    const std::size_t there = rest.size() - wire::kFrameHeaderBytes;
    const std::size_t taken = body < there ? static_cast<std::size_t>(body) : there;
    store_le(rest, kBodyCheckAt, wire::crc32c(rest.subspan(wire::kFrameHeaderBytes, taken)));
    store_le(rest, kHeaderCheckAt, wire::crc32c(rest.first(kHeaderCheckAt)));
    rest = rest.subspan(wire::kFrameHeaderBytes + taken);
  }
  return out;
}

std::vector<Frame> read_in_pieces(ByteView bytes, std::size_t piece) {
  FrameReader reader;
  std::vector<Frame> all;
  while (!bytes.empty()) {
    const ByteView next = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(next.size());
    auto frames = reader.feed(next);
    if (!frames) break;
    for (Frame& frame : *frames) all.push_back(std::move(frame));
  }
  return all;
}

void read_frames(ByteView bytes) {
  FrameReader reader;
  const auto whole = reader.feed(bytes);
  if (!whole) {
    read_in_pieces(bytes, 7);
    return;
  }
  CHECK(read_in_pieces(bytes, 1 + bytes.size() % 97) == *whole);
  std::size_t offset = 0;
  for (const Frame& frame : *whole) {
    const Buffer again = encode_frame(frame);
    CHECK(again == to_buffer(bytes.subspan(offset, again.size())));
    offset += again.size();
    if (frame.kind == wire::FrameKind::kHello) static_cast<void>(check_hello(frame));
  }
}

}  // namespace

FUZZ_TARGET(frame) {
  if (input.size() > fuzz::kMaxInput) return;
  read_frames(input);
  read_frames(with_right_checksums(input));
}
