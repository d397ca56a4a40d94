#include "common/delta/delta.h"

#include <zstd.h>

#include <algorithm>
#include <map>
#include <optional>

#include "common/base/ids.h"
#include "common/crypto/sha256.h"

namespace skein {
namespace {

constexpr std::string_view kMagic = "SKPATCH1";
constexpr std::size_t kHeaderBytes = 8 + 32 + 32 + 4 + 4;  // magic, base, checksum, manifest, pages
constexpr std::size_t kBaseAt = 8;
constexpr std::size_t kChecksumAt = 40;
constexpr std::size_t kManifestBytesAt = 72;
constexpr std::size_t kPagesAt = 76;
constexpr int kZstdLevel = 19;

enum class Kind : std::uint8_t { kSame = 0, kDifference = 1, kWhole = 2 };

// Where a page's first segment lies in the model: the same place in both artifacts holds like
// bytes.
using Place = std::pair<std::string, std::uint32_t>;

std::map<Place, std::uint32_t> places(const Manifest& manifest) {
  std::map<Place, std::uint32_t> found;
  for (const TensorEntry& tensor : manifest.tensors) {
    for (const Segment& segment : tensor.segments) {
      found.emplace(Place{tensor.name, segment.first_row}, segment.page);
    }
  }
  return found;
}

// For each target page, the base page that holds the same rows and has the same size, if any.
std::vector<std::optional<std::uint32_t>> counterparts(const Manifest& base,
                                                       const Manifest& target) {
  std::vector<std::optional<std::uint32_t>> pairs(target.pages.size());
  const auto base_places = places(base);
  for (const auto& [place, page] : places(target)) {
    const auto found = base_places.find(place);
    if (found == base_places.end() || pairs[page]) continue;
    if (base.pages[found->second].bytes == target.pages[page].bytes) pairs[page] = found->second;
  }
  return pairs;
}

Buffer compress(ByteView bytes) {
  Buffer out(ZSTD_compressBound(bytes.size()));
  const std::size_t size =
      ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kZstdLevel);
  CHECK(!ZSTD_isError(size));
  out.resize(size);
  return out;
}

// Byte by byte, modulo 256: quantized codes move by little, so the differences are mostly near
// zero.
void subtract(MutableByteView bytes, ByteView from) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(std::to_integer<unsigned>(bytes[i]) -
                                      std::to_integer<unsigned>(from[i]));
  }
}
void add(MutableByteView bytes, ByteView to) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(std::to_integer<unsigned>(bytes[i]) +
                                      std::to_integer<unsigned>(to[i]));
  }
}

void append_entry(Buffer& out, Kind kind, std::uint32_t base_page, ByteView body) {
  append_le(out, static_cast<std::uint8_t>(kind));
  append_le(out, base_page);
  append_le(out, static_cast<std::uint32_t>(body.size()));
  append(out, body);
}

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(Errc::kCorrupt, "the patch is damaged: " + what, "patch", "make or fetch it again");
}

class MadePages final : public PatchedPages {
 public:
  const Manifest& manifest() const override { return manifest_; }
  const SignedManifest& signed_manifest() const override { return signed_; }
  Result<ByteView> page(PageIndex index) override { return ByteView(pages_[index.value()]); }

  SignedManifest signed_;
  Manifest manifest_;
  std::vector<Buffer> pages_;
};

// Reads entries one after the other, never past the end.
class EntryReader {
 public:
  explicit EntryReader(ByteView bytes) : bytes_(bytes) {}
  struct Entry {
    Kind kind = Kind::kSame;
    std::uint32_t base_page = 0;
    ByteView body;
  };
  Result<Entry> next() {
    if (bytes_.size() - at_ < 9) return damaged("it ends early");
    Entry entry;
    const auto kind = load_le<std::uint8_t>(bytes_, at_);
    if (kind > 2) return damaged("an entry of unknown kind");
    entry.kind = static_cast<Kind>(kind);
    entry.base_page = load_le<std::uint32_t>(bytes_, at_ + 1);
    const auto size = load_le<std::uint32_t>(bytes_, at_ + 5);
    at_ += 9;
    if (bytes_.size() - at_ < size) return damaged("it ends early");
    entry.body = bytes_.subspan(at_, size);
    at_ += size;
    return entry;
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
};

Result<Buffer> make_page(PageSource& base, const EntryReader::Entry& entry, std::uint32_t bytes) {
  const bool uses_base = entry.kind != Kind::kWhole;
  ByteView from;
  if (uses_base) {
    if (entry.base_page >= base.manifest().pages.size())
      return damaged("it names a page the base lacks");
    TRY(from, base.page(PageIndex(entry.base_page)));
    if (from.size() != bytes) return damaged("a page has another size in the base");
  }
  if (entry.kind == Kind::kSame) return to_buffer(from);
  Buffer page(bytes);
  const std::size_t made =
      ZSTD_decompress(page.data(), page.size(), entry.body.data(), entry.body.size());
  if (ZSTD_isError(made) || made != bytes) return damaged("a page does not unpack");
  if (entry.kind == Kind::kDifference) add(page, from);
  return page;
}

}  // namespace

Result<Patch> make_patch(PageSource& base, PageSource& target,
                         const SignedManifest& target_manifest) {
  std::map<Digest, std::uint32_t> in_base;
  for (std::uint32_t i = 0; i < base.manifest().pages.size(); ++i) {
    in_base.emplace(base.manifest().pages[i].digest, i);
  }
  const auto pairs = counterparts(base.manifest(), target.manifest());
  const Buffer manifest = encode_signed_manifest(target_manifest);
  Patch patch;
  patch.bytes.resize(kHeaderBytes);
  append(patch.bytes, manifest);
  const auto& pages = target.manifest().pages;
  for (std::uint32_t i = 0; i < pages.size(); ++i) {
    patch.stats.target_bytes += pages[i].bytes;
    if (const auto same = in_base.find(pages[i].digest); same != in_base.end()) {
      append_entry(patch.bytes, Kind::kSame, same->second, {});
      continue;
    }
    ++patch.stats.pages_changed;
    TRY(const ByteView page, target.page(PageIndex(i)));
    const Buffer whole = compress(page);
    Buffer difference;
    if (pairs[i]) {
      TRY(const ByteView from, base.page(PageIndex(*pairs[i])));
      Buffer moved = to_buffer(page);
      subtract(moved, from);
      difference = compress(moved);
    }
    if (pairs[i] && difference.size() < whole.size()) {
      append_entry(patch.bytes, Kind::kDifference, *pairs[i], difference);
    } else {
      append_entry(patch.bytes, Kind::kWhole, 0, whole);
    }
  }
  const Digest base_digest = manifest_digest(encode_manifest(base.manifest()));
  const Digest checksum = sha256(ByteView(patch.bytes).subspan(kHeaderBytes));
  std::memcpy(patch.bytes.data(), kMagic.data(), kMagic.size());
  std::memcpy(patch.bytes.data() + kBaseAt, base_digest.bytes.data(), 32);
  std::memcpy(patch.bytes.data() + kChecksumAt, checksum.bytes.data(), 32);
  store_le(patch.bytes, kManifestBytesAt, static_cast<std::uint32_t>(manifest.size()));
  store_le(patch.bytes, kPagesAt, static_cast<std::uint32_t>(pages.size()));
  patch.stats.patch_bytes = patch.bytes.size();
  patch.stats.pages = static_cast<std::uint32_t>(pages.size());
  return patch;
}

Result<std::unique_ptr<PatchedPages>> apply_patch(PageSource& base, ByteView patch) {
  if (patch.size() < kHeaderBytes || as_text(patch.first(8)) != kMagic) {
    return fail(Errc::kCorrupt, "this is not a patch", "patch, offset 0",
                "make one with skein delta make");
  }
  const ByteView body = patch.subspan(kHeaderBytes);
  const auto checksum = Digest::from_bytes(patch.subspan(kChecksumAt, 32));
  if (sha256(body) != *checksum) return damaged("its checksum differs");
  const Digest base_digest = manifest_digest(encode_manifest(base.manifest()));
  if (base_digest != *Digest::from_bytes(patch.subspan(kBaseAt, 32))) {
    return fail(Errc::kConflict, "the patch was made for another base", "patch",
                "apply it to the artifact it was made from");
  }
  const auto manifest_bytes = load_le<std::uint32_t>(patch, kManifestBytesAt);
  if (manifest_bytes > body.size()) return damaged("its manifest is longer than the file");
  auto made = std::make_unique<MadePages>();
  TRY(made->signed_, decode_signed_manifest(body.first(manifest_bytes)));
  TRY(made->manifest_, decode_manifest(made->signed_.bytes));
  const auto& pages = made->manifest_.pages;
  if (pages.size() != load_le<std::uint32_t>(patch, kPagesAt))
    return damaged("its page count differs");
  EntryReader entries(body.subspan(manifest_bytes));
  for (std::uint32_t i = 0; i < pages.size(); ++i) {
    TRY(const EntryReader::Entry entry, entries.next());
    TRY(Buffer page, make_page(base, entry, pages[i].bytes));
    if (sha256(page) != pages[i].digest)
      return damaged("page " + std::to_string(i) + " differs from its hash");
    made->pages_.push_back(std::move(page));
  }
  if (!entries.at_end()) return damaged("bytes follow its last page");
  return made;
}

}  // namespace skein
