#include "common/artifact/internal/layout.h"

#include <algorithm>

#include "common/coding/page_coding.h"

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
  store_le(bytes, 6, header.coded ? kCodedVersion : kPlainVersion);
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
  const auto version = load_le<std::uint16_t>(front, 6);
  if (version != kPlainVersion && version != kCodedVersion) {
    return fail(Errc::kUnsupported,
                "the artifact's file has version " + std::to_string(version) + ", not 1 or 2",
                std::string(file_name), "use a newer Skein");
  }
  const auto flags = load_le<std::uint32_t>(front, 8);
  ArtifactHeader header;
  header.coded = version == kCodedVersion;
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

std::vector<std::uint32_t> plain_sizes(const Manifest& manifest) {
  std::vector<std::uint32_t> sizes;
  sizes.reserve(manifest.pages.size());
  for (const PageEntry& page : manifest.pages) sizes.push_back(page.bytes);
  return sizes;
}

Result<std::vector<std::uint32_t>> read_sizes(ByteView table, const Manifest& manifest,
                                              std::string_view file_name) {
  std::vector<std::uint32_t> sizes(manifest.pages.size());
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(sizes));
  if (table.size() < bytes.size()) {
    return fail(Errc::kCorrupt, "the artifact ends inside the sizes of its coded pages",
                std::string(file_name), "fetch the artifact again");
  }
  std::ranges::copy(table.first(bytes.size()), bytes.begin());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0 || sizes[i] > coded_bound(manifest.pages[i].bytes)) {
      return fail(Errc::kCorrupt,
                  "page " + std::to_string(i) + " of " + std::to_string(manifest.pages[i].bytes) +
                      " bytes cannot be coded in " + std::to_string(sizes[i]),
                  std::string(file_name), "fetch the artifact again");
    }
  }
  return sizes;
}

Buffer encode_sizes(std::span<const std::uint32_t> sizes) {
  return to_buffer(std::as_bytes(sizes));
}

std::vector<std::uint64_t> page_offsets(std::span<const std::uint32_t> sizes, std::uint64_t front) {
  std::vector<std::uint64_t> offsets;
  offsets.reserve(sizes.size() + 1);
  std::uint64_t end = front;
  for (const std::uint32_t size : sizes) {
    offsets.push_back(align(end));
    end = offsets.back() + size;
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
