// Where things stand in a .skein file and in a signed manifest's blob (schemas/README.md). Pure;
// any thread.
#pragma once

#include <string>
#include <vector>

#include "common/artifact/manifest.h"

namespace skein::internal {

template <std::size_t N>
constexpr std::array<std::byte, N - 1> magic_of(const char (&text)[N]) {
  std::array<std::byte, N - 1> magic{};
  for (std::size_t i = 0; i + 1 < N; ++i) magic[i] = static_cast<std::byte>(text[i]);
  return magic;
}

// Signed manifest: magic (8), signer (32), signature (64), manifest.
inline constexpr auto kManifestMagic = magic_of("SKMAN\1\0\0");
inline constexpr std::size_t kSignedManifestPrefix = 104;

// .skein: header (128 bytes), manifest, pages in manifest order, each at a multiple of 64. Version
// 2: the pages are coded, and their sizes stand between the manifest and the first of them.
inline constexpr auto kArtifactMagic = magic_of("SKEIN\1");
inline constexpr std::uint16_t kPlainVersion = 1;
inline constexpr std::uint16_t kCodedVersion = 2;
inline constexpr std::size_t kArtifactHeaderBytes = 128;
inline constexpr std::uint64_t kPageAlignment = 64;

struct ArtifactHeader {
  bool coded = false;
  std::uint32_t pages = 0;
  std::uint64_t manifest_bytes = 0;
  std::uint64_t file_bytes = 0;
  PublicKey signer{};
  Signature signature{};
};
Buffer encode_header(const ArtifactHeader& header);
// `file_bytes` is the size the file really has; lengths are checked against it before anything is
// sized by them. `file_name` is for messages.
Result<ArtifactHeader> decode_header(ByteView front, std::uint64_t file_bytes,
                                     std::string_view file_name);

std::vector<std::uint32_t> plain_sizes(const Manifest& manifest);  // of each page
// Those that a version 2 file tells, `pages` of them at the front of `table`. Errc::kCorrupt for a
// size that no coded page of the manifest's has.
Result<std::vector<std::uint32_t>> read_sizes(ByteView table, const Manifest& manifest,
                                              std::string_view file_name);
Buffer encode_sizes(std::span<const std::uint32_t> sizes);
// Offset of every page, the first after `front` bytes, and after the last one the file's end.
std::vector<std::uint64_t> page_offsets(std::span<const std::uint32_t> sizes, std::uint64_t front);

// "page 17 of 4f2a..." and what to do about it: one sentence wherever a page is damaged.
tl::unexpected<Error> damaged_page(std::size_t page, const Digest& manifest, std::string where);

// The artifact's or page's fault, not the disk's: another copy may do.
inline bool is_damage(const Error& error) {
  return error.code == Errc::kNotFound || error.code == Errc::kCorrupt ||
         error.code == Errc::kUnsupported;
}

}  // namespace skein::internal
