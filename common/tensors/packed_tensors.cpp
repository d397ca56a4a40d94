#include "common/tensors/packed_tensors.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/crypto/sha256.h"

namespace skein {
namespace {

constexpr std::array<std::byte, 8> kMagic = {std::byte{'S'}, std::byte{'K'}, std::byte{'T'},
                                             std::byte{'E'}, std::byte{'N'}, std::byte{'S'},
                                             std::byte{1},   std::byte{0}};
constexpr std::size_t kVersionAt = 6;
constexpr std::size_t kRawBytesAt = 8;
constexpr std::size_t kPagesAt = 16;
constexpr std::size_t kBaseAt = 24;
constexpr std::size_t kEntriesAt = 56;
constexpr std::size_t kEntryBytes = 56;
constexpr std::size_t kDigestBytes = 32;
constexpr std::uint64_t kNoBase = ~std::uint64_t{0};
constexpr std::uint32_t kStored = 0;  // otherwise the element's number and one

tl::unexpected<Error> corrupt(std::string what, std::string_view file) {
  return fail(Errc::kCorrupt, std::move(what), std::string(file),
              "the file is damaged; fetch or pack it again");
}

Digest digest_at(ByteView bytes, std::size_t at) {
  return *Digest::from_bytes(bytes.subspan(at, kDigestBytes));
}

void append_entry(Buffer& out, const PackedPage& page) {
  append_le<std::uint32_t>(out,
                           page.element ? static_cast<std::uint32_t>(*page.element) + 1 : kStored);
  append_le(out, page.bytes);
  append_le(out, page.packed_bytes);
  append_le<std::uint32_t>(out, 0);
  append_le(out, page.base.value_or(kNoBase));
  append(out, page.digest.bytes);
}

bool sane(const PackedPage& page) {
  if (page.bytes == 0 || page.bytes > kPackedPageBytes) return false;
  if (!page.element) return !page.base && page.packed_bytes == page.bytes;
  return page.bytes % bytes_of(*page.element) == 0 && page.packed_bytes > 0 &&
         page.packed_bytes <= elements_bound(page.bytes);
}

// nullopt: no page of ours.
std::optional<PackedPage> read_entry(ByteView entry, std::uint64_t at) {
  const auto kind = load_le<std::uint32_t>(entry, 0);
  const auto base = load_le<std::uint64_t>(entry, 16);
  if (kind > static_cast<std::uint32_t>(Element::kF32) + 1 ||
      load_le<std::uint32_t>(entry, 12) != 0) {
    return std::nullopt;
  }
  PackedPage page;
  page.at = at;
  page.bytes = load_le<std::uint32_t>(entry, 4);
  page.packed_bytes = load_le<std::uint32_t>(entry, 8);
  page.digest = digest_at(entry, 24);
  if (kind != kStored) page.element = static_cast<Element>(kind - 1);
  if (base != kNoBase) page.base = base;
  if (!sane(page)) return std::nullopt;
  return page;
}

ByteView base_part(const PackedPage& page, ByteView base) {
  return page.base ? base.subspan(*page.base, page.bytes) : ByteView();
}

}  // namespace

Buffer pack_page(ByteView file, ByteView base, PackedPage& page, CodecMemory& memory) {
  const ByteView raw = file.subspan(page.at, page.bytes);
  page.digest = sha256(raw);
  Buffer packed;
  if (page.element) {
    packed.resize(elements_room(page.bytes));
    packed.resize(encode_elements(*page.element, raw, base_part(page, base), memory, packed));
  } else {
    packed = to_buffer(raw);
  }
  page.packed_bytes = static_cast<std::uint32_t>(packed.size());
  Buffer again(page.bytes);
  CHECK(unpack_page(page, packed, base, memory, again).has_value());
  return packed;
}

Result<void> unpack_page(const PackedPage& page, ByteView packed, ByteView base,
                         CodecMemory& memory, MutableByteView out) {
  CHECK(packed.size() == page.packed_bytes && out.size() == page.bytes);
  const std::string where = "bytes from " + std::to_string(page.at);
  if (page.base && (base.size() < page.bytes || *page.base > base.size() - page.bytes)) {
    return corrupt("the page's base lies outside the base file", where);
  }
  if (page.element) {
    const auto decoded = decode_elements(*page.element, packed, base_part(page, base), memory, out);
    if (!decoded) return corrupt(decoded.error().what, where);
  } else {
    std::ranges::copy(packed, out.begin());
  }
  if (sha256(out) != page.digest) return corrupt("a page's digest differs", where);
  return {};
}

std::uint64_t directory_bytes(std::size_t pages) {
  return kEntriesAt + pages * kEntryBytes + kDigestBytes;
}

// Magic, bytes of the file, pages, base; an entry for each page; SHA-256 of all that.
Buffer encode_directory(const PackedDirectory& directory) {
  Buffer out;
  out.reserve(directory_bytes(directory.pages.size()));
  append(out, kMagic);
  append_le(out, directory.raw_bytes);
  append_le(out, static_cast<std::uint32_t>(directory.pages.size()));
  append_le<std::uint32_t>(out, 0);
  append(out, directory.base.bytes);
  for (const PackedPage& page : directory.pages) append_entry(out, page);
  append(out, sha256(out).bytes);
  return out;
}

Result<PackedDirectory> read_directory(NamedFile packed) {
  const ByteView bytes = packed.bytes;
  if (bytes.size() < directory_bytes(0) ||
      !std::ranges::equal(bytes.first(kVersionAt), std::span(kMagic).first(kVersionAt))) {
    return fail(Errc::kCorrupt, "these are no packed tensors", std::string(packed.name),
                "name a file that skein tensors pack wrote");
  }
  if (bytes[kVersionAt] != kMagic[kVersionAt]) {
    return fail(
        Errc::kUnsupported,
        "tensors packed in version " + std::to_string(std::to_integer<int>(bytes[kVersionAt])),
        std::string(packed.name), "use a newer Skein");
  }
  const auto pages = load_le<std::uint32_t>(bytes, kPagesAt);
  if (directory_bytes(pages) > bytes.size()) return corrupt("the file is cut short", packed.name);
  const ByteView told = bytes.first(directory_bytes(pages) - kDigestBytes);
  if (sha256(told) != digest_at(bytes, told.size())) {
    return corrupt("the directory's digest differs", packed.name);
  }
  PackedDirectory directory;
  directory.raw_bytes = load_le<std::uint64_t>(bytes, kRawBytesAt);
  directory.base = digest_at(bytes, kBaseAt);
  std::uint64_t raw_at = 0;
  std::uint64_t packed_at = directory_bytes(pages);
  for (std::uint32_t i = 0; i < pages; ++i) {
    const auto page = read_entry(told.subspan(kEntriesAt + i * kEntryBytes, kEntryBytes), raw_at);
    if (!page || (page->base && directory.base.is_zero())) {
      return corrupt("page " + std::to_string(i) + " is impossible", packed.name);
    }
    raw_at += page->bytes;
    packed_at += page->packed_bytes;
    directory.pages.push_back(*page);
  }
  if (raw_at != directory.raw_bytes || packed_at != bytes.size()) {
    return corrupt("the pages do not fill the file", packed.name);
  }
  return directory;
}

}  // namespace skein
