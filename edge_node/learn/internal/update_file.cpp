#include "edge_node/learn/internal/update_file.h"

#include <cmath>

#include "common/crypto/sha256.h"

namespace skein::internal {
namespace {

constexpr std::string_view kMagic = "SKLU";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kStateAt = 8, kRoundAt = 16, kArtifactAt = 24, kTokensAt = 56, kRawAt = 64,
                      kPackedAt = 72, kBeforeAt = 80, kAfterAt = 88, kContentAt = 96,
                      kHeaderBytes = 128, kDigestBytes = 32;

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "kept update", "the round is trained again");
}

}  // namespace

Buffer encode_update_file(const UpdateFile& file) {
  Buffer bytes = to_buffer(kMagic);
  append_le(bytes, kVersion);
  append_le(bytes, static_cast<std::uint32_t>(file.state));
  append_le(bytes, std::uint32_t{0});
  append_le(bytes, file.begin.round.value());
  append(bytes, file.artifact.bytes);
  append_le(bytes, file.begin.tokens);
  append_le(bytes, file.begin.raw_bytes);
  append_le(bytes, file.begin.bytes);
  append_le(bytes, file.begin.loss_before);
  append_le(bytes, file.begin.loss_after);
  append(bytes, file.begin.content.bytes);
  if (file.state == UpdateFile::State::kTrained) append(bytes, file.packed);
  append(bytes, sha256(bytes).bytes);
  return bytes;
}

Result<UpdateFile> decode_update_file(ByteView bytes) {
  if (bytes.size() < kHeaderBytes + kDigestBytes) return corrupt("it is too short");
  const ByteView body = bytes.first(bytes.size() - kDigestBytes);
  if (sha256(body) != *Digest::from_bytes(bytes.last(kDigestBytes))) {
    return corrupt("its hash differs");
  }
  if (as_text(body.first(kMagic.size())) != kMagic || load_le<std::uint32_t>(body, 4) != kVersion) {
    return corrupt("it is of another kind or version");
  }
  const auto state = load_le<std::uint32_t>(body, kStateAt);
  if (state < 1 || state > 3) return corrupt("it is in no known state");
  UpdateFile file;
  file.state = static_cast<UpdateFile::State>(state);
  file.artifact = *Digest::from_bytes(body.subspan(kArtifactAt, kDigestBytes));
  file.begin.round = RoundId(load_le<std::uint64_t>(body, kRoundAt));
  file.begin.tokens = load_le<std::uint64_t>(body, kTokensAt);
  file.begin.raw_bytes = load_le<std::uint64_t>(body, kRawAt);
  file.begin.bytes = load_le<std::uint64_t>(body, kPackedAt);
  file.begin.loss_before = load_le<double>(body, kBeforeAt);
  file.begin.loss_after = load_le<double>(body, kAfterAt);
  file.begin.content = *Digest::from_bytes(body.subspan(kContentAt, kDigestBytes));
  file.packed = to_buffer(body.subspan(kHeaderBytes));
  const std::uint64_t expected = file.state == UpdateFile::State::kTrained ? file.begin.bytes : 0;
  if (file.packed.size() != expected) return corrupt("its length differs from what it says");
  return file;
}

}  // namespace skein::internal
