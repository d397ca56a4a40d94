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
constexpr std::string_view kCodedMagic = "SKPATCH2";       // of a target whose pages are coded
constexpr std::size_t kHeaderBytes = 8 + 32 + 32 + 4 + 4;  // magic, base, checksum, manifest, pages
constexpr std::size_t kBaseAt = 8;
constexpr std::size_t kChecksumAt = 40;
constexpr std::size_t kManifestBytesAt = 72;
constexpr std::size_t kPagesAt = 76;
constexpr std::size_t kEntryBytes = 9;  // kind, base page, length
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

// What a patch says about one page; `body` views the patch.
struct Entry {
  Kind kind = Kind::kSame;
  std::uint32_t base_page = 0;
  ByteView body;
};

tl::unexpected<Error> damaged(const std::string& what, const std::string& file_name) {
  return fail(Errc::kCorrupt, "the patch is damaged: " + what, file_name, "make or fetch it again");
}

// Reads entries one after the other, never past the end.
class EntryReader {
 public:
  EntryReader(ByteView bytes, const std::string& file_name)
      : bytes_(bytes), file_name_(file_name) {}
  Result<Entry> next() {
    if (bytes_.size() - at_ < kEntryBytes) return damaged("it ends early", file_name_);
    Entry entry;
    const auto kind = load_le<std::uint8_t>(bytes_, at_);
    if (kind > 2) return damaged("an entry of unknown kind", file_name_);
    entry.kind = static_cast<Kind>(kind);
    entry.base_page = load_le<std::uint32_t>(bytes_, at_ + 1);
    const auto size = load_le<std::uint32_t>(bytes_, at_ + 5);
    at_ += kEntryBytes;
    if (bytes_.size() - at_ < size) return damaged("it ends early", file_name_);
    entry.body = bytes_.subspan(at_, size);
    at_ += size;
    if (entry.kind == Kind::kSame ? size != 0 : size == 0) {
      return damaged("an entry's length does not fit its kind", file_name_);
    }
    return entry;
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  ByteView bytes_;
  const std::string& file_name_;
  std::size_t at_ = 0;
};

// Makes one page at a time, so that a target needs no more memory than its largest page.
class MadePages final : public PatchedPages {
 public:
  MadePages(PageSource& base, std::string file_name)
      : base_(base), file_name_(std::move(file_name)) {}

  const Manifest& manifest() const override { return manifest_; }
  const SignedManifest& signed_manifest() const override { return signed_; }
  std::optional<Digest> coded_file() const override { return coded_file_; }
  Result<ByteView> page(PageIndex index) override {
    const std::size_t i = index.value();
    if (i >= entries_.size()) {
      return fail(Errc::kNotFound, "there is no page " + std::to_string(i), file_name_,
                  "ask for a page that the manifest lists");
    }
    TRY(const ByteView made, make(entries_[i], manifest_.pages[i].bytes));
    if (sha256(made) != manifest_.pages[i].digest) {
      return damaged("page " + std::to_string(i) + " differs from its hash", file_name_);
    }
    return made;
  }

  void set_coded_file(const Digest& digest) { coded_file_ = digest; }
  Result<void> read_front(ByteView front) {
    TRY(signed_, decode_signed_manifest(front));
    TRY(manifest_, decode_manifest(signed_.bytes));
    std::uint64_t bytes = 0;
    for (const PageEntry& page : manifest_.pages) bytes += page.bytes;
    if (bytes > kMaxTargetBytes) {
      return fail(Errc::kOutOfRoom, "the target would have " + std::to_string(bytes) + " bytes",
                  file_name_,
                  "a patch may make " + std::to_string(kMaxTargetBytes) + ": fetch the artifact");
    }
    return {};
  }
  Result<void> read_entries(ByteView bytes) {
    EntryReader reader(bytes, file_name_);
    for (std::size_t i = 0; i < manifest_.pages.size(); ++i) {
      TRY(const Entry entry, reader.next());
      entries_.push_back(entry);
    }
    if (!reader.at_end()) return damaged("bytes follow its last page", file_name_);
    return {};
  }

 private:
  Result<ByteView> make(const Entry& entry, std::uint32_t bytes) {
    ByteView from;
    if (entry.kind != Kind::kWhole) {
      if (entry.base_page >= base_.manifest().pages.size()) {
        return damaged("it names a page the base lacks", file_name_);
      }
      TRY(from, base_.page(PageIndex(entry.base_page)));
      if (from.size() != bytes) {
        return damaged("a page has another size in the base", file_name_);
      }
    }
    if (entry.kind == Kind::kSame) return from;
    page_.resize(bytes);
    const std::size_t made =
        ZSTD_decompress(page_.data(), page_.size(), entry.body.data(), entry.body.size());
    if (ZSTD_isError(made) || made != bytes) {
      return damaged("a page does not unpack", file_name_);
    }
    if (entry.kind == Kind::kDifference) add(page_, from);
    return ByteView(page_);
  }

  PageSource& base_;
  std::string file_name_;
  SignedManifest signed_;
  Manifest manifest_;
  std::optional<Digest> coded_file_;
  std::vector<Entry> entries_;
  Buffer page_;  // the page made last
};

}  // namespace

Result<Patch> make_patch(PageSource& base, PageSource& target,
                         const SignedManifest& target_manifest, std::optional<Digest> coded_file) {
  std::map<Digest, std::uint32_t> in_base;
  for (std::uint32_t i = 0; i < base.manifest().pages.size(); ++i) {
    in_base.emplace(base.manifest().pages[i].digest, i);
  }
  const auto pairs = counterparts(base.manifest(), target.manifest());
  const Buffer manifest = encode_signed_manifest(target_manifest);
  Patch patch;
  patch.bytes.resize(kHeaderBytes);
  if (coded_file) append(patch.bytes, coded_file->bytes);
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
    Buffer difference;
    if (pairs[i]) {
      TRY(const ByteView from, base.page(PageIndex(*pairs[i])));
      Buffer moved = to_buffer(page);
      subtract(moved, from);
      difference = compress(moved);
    }
    // A difference of less than half the page is taken without trying the page itself.
    const bool good = pairs[i] && difference.size() < page.size() / 2;
    const Buffer whole = good ? Buffer() : compress(page);
    if (good || (pairs[i] && difference.size() < whole.size())) {
      append_entry(patch.bytes, Kind::kDifference, *pairs[i], difference);
    } else {
      append_entry(patch.bytes, Kind::kWhole, 0, whole);
    }
  }
  const Digest base_digest = manifest_digest(encode_manifest(base.manifest()));
  const Digest checksum = sha256(ByteView(patch.bytes).subspan(kHeaderBytes));
  const std::string_view magic = coded_file ? kCodedMagic : kMagic;
  std::memcpy(patch.bytes.data(), magic.data(), magic.size());
  std::memcpy(patch.bytes.data() + kBaseAt, base_digest.bytes.data(), 32);
  std::memcpy(patch.bytes.data() + kChecksumAt, checksum.bytes.data(), 32);
  store_le(patch.bytes, kManifestBytesAt, static_cast<std::uint32_t>(manifest.size()));
  store_le(patch.bytes, kPagesAt, static_cast<std::uint32_t>(pages.size()));
  patch.stats.patch_bytes = patch.bytes.size();
  patch.stats.pages = static_cast<std::uint32_t>(pages.size());
  return patch;
}

Result<std::unique_ptr<PatchedPages>> apply_patch(PageSource& base, ByteView patch,
                                                  std::string file_name) {
  const std::string_view magic = as_text(patch.first(std::min(patch.size(), kMagic.size())));
  if (magic != kMagic && magic != kCodedMagic) {
    return fail(Errc::kCorrupt, "this is not a patch", file_name + ", offset 0",
                "make one with skein delta make");
  }
  if (patch.size() < kHeaderBytes) return damaged("it ends early", file_name);
  ByteView body = patch.subspan(kHeaderBytes);
  const auto checksum = Digest::from_bytes(patch.subspan(kChecksumAt, 32));
  if (sha256(body) != *checksum) return damaged("its checksum differs", file_name);
  const Digest base_digest = manifest_digest(encode_manifest(base.manifest()));
  if (base_digest != *Digest::from_bytes(patch.subspan(kBaseAt, 32))) {
    return fail(Errc::kConflict, "the patch was made for another base", file_name,
                "apply it to the artifact it was made from");
  }
  auto made = std::make_unique<MadePages>(base, file_name);
  if (magic == kCodedMagic) {
    if (body.size() < sizeof(Digest::bytes)) return damaged("it ends early", file_name);
    made->set_coded_file(*Digest::from_bytes(body.first(sizeof(Digest::bytes))));
    body = body.subspan(sizeof(Digest::bytes));
  }
  const auto manifest_bytes = load_le<std::uint32_t>(patch, kManifestBytesAt);
  if (manifest_bytes > body.size()) {
    return damaged("its manifest is longer than the file", file_name);
  }
  TRY_VOID(made->read_front(body.first(manifest_bytes)));
  const std::size_t pages = made->manifest().pages.size();
  if (pages != load_le<std::uint32_t>(patch, kPagesAt)) {
    return damaged("its page count differs", file_name);
  }
  TRY_VOID(made->read_entries(body.subspan(manifest_bytes)));
  for (std::uint32_t i = 0; i < pages; ++i) TRY_VOID(made->page(PageIndex(i)));
  return made;
}

}  // namespace skein
