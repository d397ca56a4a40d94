// UpdateFile: what a device keeps of a round on disk: the packed update until the coordinator has
// counted it, and the figures of the report afterwards, so that no round is trained twice. Private
// to edge_node/learn. Pure; any thread.
//
// Bytes, little-endian: "SKLU", u32 version = 1, u32 state, u32 zero, u64 round, artifact digest,
// u64 tokens, u64 raw bytes, u64 packed bytes, f64 loss before, f64 loss after, SHA-256 of the
// packed update; then the packed update while the state is kTrained, else nothing; at the end the
// SHA-256 of everything before it.
#pragma once

#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/result.h"
#include "common/wire/messages.h"

namespace skein::internal {

inline constexpr std::uint64_t kMaxUpdateFileBytes = 1ULL << 30;

struct UpdateFile {
  enum class State : std::uint32_t {
    kTrained = 1,  // waits to be uploaded
    kCounted = 2,  // the coordinator has it
    kClosed = 3,   // the round went on without it
  };
  State state = State::kTrained;
  Digest artifact;    // trained from
  UploadBegin begin;  // round, content and the figures
  Buffer packed;
};

Buffer encode_update_file(const UpdateFile& file);
Result<UpdateFile> decode_update_file(ByteView bytes);  // Errc::kCorrupt

}  // namespace skein::internal
