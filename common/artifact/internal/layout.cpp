#include "common/artifact/internal/layout.h"

#include <algorithm>

namespace skein::internal {

namespace {

constexpr std::uint32_t kFlagSigned = 1;

std::uint64_t align(std::uint64_t offset) {
  return (offset + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
}

}  // namespace

Buffer encode_header(const ArtifactHeader& header) {
  Buffer bytes(kArtifactHeaderBytes);
  std::copy(kArtifactMagic.begin(), kArtifactMagic.end(), bytes.begin());
  store_le(bytes, 6, kArtifactVersion);
  store_le(bytes, 8, header.signer == PublicKey{} ? 0 : kFlagSigned);
  store_le(bytes, 12, header.pages);
  store_le(bytes, 16, header.manifest_bytes);
  store_le(bytes, 24, header.file_bytes);
  std::copy(header.signer.begin(), header.signer.end(), bytes.begin() + 32);
  std::copy(header.signature.begin(), header.signature.end(), bytes.begin() + 64);
  return bytes;
}

Result<ArtifactHeader> decode_header(ByteView front, std::uint64_t file_bytes,
                                     std::string_view file_name) {
  const auto corrupt = [&](std::string what) {
    return fail(Errc::kCorrupt, std::move(what), std::string(file_name),
                "fetch the artifact again");
  };
  if (front.size() < kArtifactMagic.size() ||
      !std::equal(kArtifactMagic.begin(), kArtifactMagic.end(), front.begin())) {
    return fail(Errc::kCorrupt, "this is not a Skein artifact", std::string(file_name),
                "make one with `skein import`");
  }
  if (front.size() < kArtifactHeaderBytes) {
    return corrupt("the artifact ends inside its header, after " + std::to_string(file_bytes) +
                   " bytes");
  }
  if (const auto version = load_le<std::uint16_t>(front, 6); version != kArtifactVersion) {
    return fail(Errc::kUnsupported,
                "the artifact's file has version " + std::to_string(version) + ", not 1",
                std::string(file_name), "use a newer Skein");
  }
  const auto flags = load_le<std::uint32_t>(front, 8);
  ArtifactHeader header;
  header.pages = load_le<std::uint32_t>(front, 12);
  header.manifest_bytes = load_le<std::uint64_t>(front, 16);
  header.file_bytes = load_le<std::uint64_t>(front, 24);
  std::copy_n(front.data() + 32, header.signer.size(), header.signer.data());
  std::copy_n(front.data() + 64, header.signature.size(), header.signature.data());
  const bool is_signed = header.signer != PublicKey{};
  if (flags != (is_signed ? kFlagSigned : 0) || (!is_signed && header.signature != Signature{})) {
    return corrupt("the artifact's header contradicts itself about the signature");
  }
  if (header.file_bytes != file_bytes) {
    return corrupt("the artifact should have " + std::to_string(header.file_bytes) +
                   " bytes and has " + std::to_string(file_bytes));
  }
  if (header.manifest_bytes == 0 || header.manifest_bytes > kMaxManifestBytes ||
      header.manifest_bytes > file_bytes - kArtifactHeaderBytes) {
    return corrupt("the artifact's manifest cannot have " + std::to_string(header.manifest_bytes) +
                   " bytes");
  }
  return header;
}

std::vector<std::uint64_t> page_offsets(const Manifest& manifest, std::uint64_t manifest_bytes) {
  std::vector<std::uint64_t> offsets;
  offsets.reserve(manifest.pages.size() + 1);
  std::uint64_t end = kArtifactHeaderBytes + manifest_bytes;
  for (const PageEntry& page : manifest.pages) {
    offsets.push_back(align(end));
    end = offsets.back() + page.bytes;
  }
  offsets.push_back(end);
  return offsets;
}

tl::unexpected<Error> damaged_page(std::size_t page, const Digest& manifest, std::string where) {
  return fail(
      Errc::kCorrupt,
      "page " + std::to_string(page) + " of " + manifest.short_hex() + " does not match its hash",
      std::move(where), "fetch the artifact again");
}

}  // namespace skein::internal
