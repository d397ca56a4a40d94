#include "common/pack/pack.h"

#include <zstd.h>

#include <algorithm>
#include <array>

#include "common/crypto/sha256.h"

namespace skein {
namespace {

constexpr std::uint32_t kMagic = 0x46504b53;  // "SKPF"
constexpr std::uint32_t kVersion = 1;         // one byte, then three of zero
constexpr std::size_t kPlanes = 4;
constexpr std::size_t kSizesAt = 48;
constexpr int kLevel = 1;  // higher levels find matches in noise and end larger

using Planes = std::array<Buffer, kPlanes>;

Planes split(std::span<const float> values) {
  Planes planes;
  for (Buffer& plane : planes) plane.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t bits = std::rotl(std::bit_cast<std::uint32_t>(values[i]), 1);
    for (std::size_t k = 0; k < kPlanes; ++k) {
      planes[k][i] = static_cast<std::byte>((bits >> (8 * k)) & 0xFF);
    }
  }
  return planes;
}

std::vector<float> join(const Planes& planes) {
  std::vector<float> values(planes[0].size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < kPlanes; ++k) {
      bits |= static_cast<std::uint32_t>(planes[k][i]) << (8 * k);
    }
    values[i] = std::bit_cast<float>(std::rotr(bits, 1));
  }
  return values;
}

void append_compressed(Buffer& out, ByteView plane) {
  const std::size_t start = out.size();
  out.resize(start + ZSTD_compressBound(plane.size()));
  const std::size_t bytes =
      ZSTD_compress(out.data() + start, out.size() - start, plane.data(), plane.size(), kLevel);
  CHECK(ZSTD_isError(bytes) == 0);  // the bound is zstd's own promise
  out.resize(start + bytes);
}

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "packed floats", "ask for the update again");
}

Result<Buffer> decompress(ByteView frame, std::size_t bytes) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != bytes) {
    return corrupt("a plane is not of the announced size");
  }
  Buffer plane(bytes);
  const std::size_t got = ZSTD_decompress(plane.data(), plane.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != bytes) return corrupt("a plane does not decompress");
  return plane;
}

}  // namespace

Buffer pack_floats(std::span<const float> values) {
  Buffer out;
  append_le(out, kMagic);
  append_le(out, kVersion);
  append_le<std::uint64_t>(out, values.size());
  append(out, sha256(std::as_bytes(values)).bytes);
  out.resize(kPackHeaderBytes);
  const Planes planes = split(values);
  for (std::size_t k = 0; k < kPlanes; ++k) {
    const std::size_t start = out.size();
    append_compressed(out, planes[k]);
    store_le<std::uint64_t>(out, kSizesAt + 8 * k, out.size() - start);
  }
  return out;
}

Result<std::vector<float>> unpack_floats(ByteView packed, std::size_t max_floats) {
  if (packed.size() < kPackHeaderBytes || load_le<std::uint32_t>(packed, 0) != kMagic) {
    return corrupt("these are no packed floats");
  }
  const auto version = load_le<std::uint32_t>(packed, 4);
  if (version != kVersion) {
    return fail(Errc::kUnsupported, "floats packed in version " + std::to_string(version),
                "packed floats", "use a newer Skein");
  }
  const auto count = load_le<std::uint64_t>(packed, 8);
  if (count > max_floats) {
    return fail(Errc::kOutOfRoom,
                std::to_string(count) + " floats where at most " + std::to_string(max_floats) +
                    " are expected",
                "packed floats", "send an update of the agreed shape");
  }
  ByteView rest = packed.subspan(kPackHeaderBytes);
  Planes planes;
  for (std::size_t k = 0; k < kPlanes; ++k) {
    const auto bytes = load_le<std::uint64_t>(packed, kSizesAt + 8 * k);
    if (bytes > rest.size()) return corrupt("a plane is cut short");
    TRY(planes[k], decompress(rest.first(bytes), count));
    rest = rest.subspan(bytes);
  }
  if (!rest.empty()) return corrupt("there are bytes after the last plane");
  std::vector<float> values = join(planes);
  const Digest digest = sha256(std::as_bytes(std::span(values)));
  if (!std::ranges::equal(digest.bytes, packed.subspan(16, 32))) {
    return corrupt("the floats do not match their digest");
  }
  return values;
}

}  // namespace skein
