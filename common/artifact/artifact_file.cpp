#include "common/artifact/artifact_file.h"

#include <algorithm>

#include "common/artifact/internal/layout.h"
#include "common/artifact/internal/new_file.h"
#include "common/crypto/sha256.h"

namespace skein {

using namespace internal;

namespace {

// Of each page whether rows of it are read, or tiles: of a head that a screen leaves few of.
std::vector<bool> pages_read_in_part(const Manifest& manifest) {
  std::vector<bool> in_part(manifest.pages.size());
  const bool screens = find_tensor(manifest, std::string(kHeadScreen) + "sketch") != nullptr;
  for (const TensorEntry& tensor : manifest.tensors) {
    const bool rows = tensor.layout == Layout::kRows;
    const bool head = screens && tensor.name == "head.weight";
    for (const Segment& segment : tensor.segments) {
      if (head || (rows && segment.rows > 1)) in_part[segment.page] = true;
    }
  }
  return in_part;
}

// The pages of one file, one after another.
class PageWriter {
 public:
  PageWriter(NewFile& file, PageSource& source, const Digest& digest, std::uint64_t at)
      : file_(file), source_(source), digest_(digest), at_(at) {}

  // Appends every page; the sizes that they have in the file.
  Task<Result<std::vector<std::uint32_t>>> append_all(PageCoding coding) {
    PageCoder coder;
    const std::vector<PageEntry>& pages = source_.manifest().pages;
    const auto parts = parts_of_pages(source_.manifest());
    const std::vector<bool> in_part = pages_read_in_part(source_.manifest());
    std::vector<std::uint32_t> sizes;
    Buffer bytes;
    for (std::uint32_t i = 0; i < pages.size(); ++i) {
      bytes.resize(pages[i].bytes);
      CO_TRY_VOID(source_.read(PageIndex(i), 0, bytes));
      if (sha256(bytes) != pages[i].digest) {
        co_return damaged_page(i, digest_, "the artifact to be written");
      }
      if (coding != PageCoding::kPlain) {
        const bool stays = coding == PageCoding::kCodedButRows && in_part[i];
        bytes = stays ? stored_page(bytes) : coder.code(bytes, parts[i]);
      }
      CO_TRY_VOID(co_await append(bytes));
      sizes.push_back(static_cast<std::uint32_t>(bytes.size()));
    }
    co_return sizes;
  }

 private:
  Task<Result<void>> append(ByteView bytes) {
    const Buffer padding((kPageAlignment - at_ % kPageAlignment) % kPageAlignment);
    if (!padding.empty()) CO_TRY_VOID(co_await file_.append(padding));
    CO_TRY_VOID(co_await file_.append(bytes));
    at_ += padding.size() + bytes.size();
    co_return Result<void>{};
  }

  NewFile& file_;
  PageSource& source_;
  const Digest& digest_;
  std::uint64_t at_;
};

// Header, manifest, and the sizes of coded pages.
Buffer front_of(const SignedManifest& manifest, PageCoding coding,
                const std::vector<std::uint32_t>& sizes) {
  const bool coded = coding != PageCoding::kPlain;
  const std::uint64_t table = coded ? sizes.size() * sizeof(std::uint32_t) : 0;
  const std::uint64_t bytes = kArtifactHeaderBytes + manifest.bytes.size() + table;
  Buffer front = encode_header({.coded = coded,
                                .pages = static_cast<std::uint32_t>(sizes.size()),
                                .manifest_bytes = manifest.bytes.size(),
                                .file_bytes = page_offsets(sizes, bytes).back(),
                                .signer = manifest.signer,
                                .signature = manifest.signature});
  append(front, manifest.bytes);
  if (coded) append(front, encode_sizes(sizes));
  return front;
}

Task<Result<void>> append_all(NewFile& file, PageSource& source, const SignedManifest& manifest,
                              PageCoding coding) {
  const Buffer front = front_of(manifest, coding, plain_sizes(source.manifest()));
  CO_TRY_VOID(co_await file.append(front));
  const Digest digest = manifest.digest();
  PageWriter writer(file, source, digest, front.size());
  CO_TRY(const auto sizes, co_await writer.append_all(coding));
  if (coding != PageCoding::kPlain) {
    const Buffer known = front_of(manifest, coding, sizes);
    CO_TRY_VOID(co_await file.overwrite(0, known));
  }
  co_return co_await file.commit();
}

std::string record_head(const Digest& digest, const std::string& identity) {
  return "skein-verified 1 " + digest.hex() + " " + identity + "\n";
}

}  // namespace

Task<Result<Digest>> write_artifact(Disk& disk, std::string path, PageSource& source,
                                    std::optional<SigningKey> key, PageCoding coding) {
  SignedManifest manifest = sign_manifest(source.manifest(), key);
  co_return co_await write_signed_artifact(disk, std::move(path), source, std::move(manifest),
                                           coding);
}

Task<Result<Digest>> write_signed_artifact(Disk& disk, std::string path, PageSource& source,
                                           SignedManifest manifest, PageCoding coding) {
  // Read back before it is written: nothing leaves here that `open` would refuse.
  CO_TRY(const Manifest decoded, decode_manifest(manifest.bytes));
  if (decoded != source.manifest()) {
    co_return fail(Errc::kUsage, "the signed manifest is not that of the pages", path);
  }
  NewFile file(disk, path, path + std::string(kTemporarySuffix));
  if (const auto written = co_await append_all(file, source, manifest, coding); !written) {
    co_await file.discard();
    co_return tl::unexpected<Error>(written.error());
  }
  CO_TRY_VOID(co_await disk.sync_directory(parent_path(path)));
  co_return manifest.digest();
}

std::uint64_t plain_file_bytes(const SignedManifest& manifest, const Manifest& decoded) {
  return page_offsets(plain_sizes(decoded), kArtifactHeaderBytes + manifest.bytes.size()).back();
}

bool is_artifact(ByteView file) {
  return file.size() >= kArtifactMagic.size() &&
         std::equal(kArtifactMagic.begin(), kArtifactMagic.end(), file.begin());
}

ArtifactFile::ArtifactFile(std::unique_ptr<MappedFile> file, std::string file_name)
    : file_(std::move(file)), file_name_(std::move(file_name)) {}

Result<std::unique_ptr<ArtifactFile>> ArtifactFile::open(std::unique_ptr<MappedFile> file,
                                                         std::string file_name) {
  std::unique_ptr<ArtifactFile> artifact(new ArtifactFile(std::move(file), std::move(file_name)));
  TRY_VOID(artifact->read_front());
  return artifact;
}

Result<void> ArtifactFile::read_front() {
  const ByteView all = file_->bytes();
  const ByteView front = all.first(std::min(all.size(), kArtifactHeaderBytes));
  TRY(const ArtifactHeader header, decode_header(front, all.size(), file_name_));
  signed_ = {.bytes = to_buffer(all.subspan(kArtifactHeaderBytes, header.manifest_bytes)),
             .signer = header.signer,
             .signature = header.signature};
  digest_ = signed_.digest();
  auto manifest = decode_manifest(signed_.bytes);
  if (!manifest) {
    Error error = std::move(manifest.error());
    error.where = file_name_ + ", " + error.where;
    return tl::unexpected<Error>(std::move(error));
  }
  manifest_ = std::move(*manifest);
  if (header.pages != manifest_.pages.size()) {
    return damaged("the header counts " + std::to_string(header.pages) + " pages, the manifest " +
                       std::to_string(manifest_.pages.size()),
                   12);
  }
  sizes_ = plain_sizes(manifest_);
  if (header.coded) {
    coding_ = PageCoding::kCoded;
    const ByteView table = all.subspan(kArtifactHeaderBytes + signed_.bytes.size());
    TRY(sizes_, read_sizes(table, manifest_, file_name_));
    coder_.emplace();
    decoded_.resize(sizes_.size());
  }
  offsets_ = internal::page_offsets(sizes_, front_bytes());
  if (offsets_.back() != all.size()) {
    return damaged("the pages end at byte " + std::to_string(offsets_.back()) + ", the file at " +
                       std::to_string(all.size()),
                   all.size());
  }
  verified_.assign(manifest_.pages.size(), false);
  return {};
}

tl::unexpected<Error> ArtifactFile::damaged(std::string what, std::uint64_t offset) const {
  return fail(Errc::kCorrupt, std::move(what), file_name_ + ", offset " + std::to_string(offset),
              "fetch the artifact again");
}

std::uint64_t ArtifactFile::front_bytes() const {
  const std::size_t table = coding_ == PageCoding::kCoded ? sizes_.size() * sizeof sizes_[0] : 0;
  return kArtifactHeaderBytes + signed_.bytes.size() + table;
}

Result<void> ArtifactFile::check_index(std::size_t i) const {
  if (i < manifest_.pages.size()) return {};
  return fail(
      Errc::kNotFound,
      "there is no page " + std::to_string(i) + " among " + std::to_string(manifest_.pages.size()),
      file_name_);
}

Result<void> ArtifactFile::check_hash(std::size_t i, ByteView bytes) {
  if (verified_[i]) return {};
  if (sha256(bytes) != manifest_.pages[i].digest) {
    return damaged_page(i, digest_, file_name_ + ", offset " + std::to_string(offsets_[i]));
  }
  verified_[i] = true;
  return {};
}

ByteView ArtifactFile::view_of(const DecodedPage& page, std::size_t i) const {
  return std::as_bytes(std::span(page)).first(manifest_.pages[i].bytes);
}

// The page as it was before it was coded, compared with its hash.
Result<void> ArtifactFile::decode(std::size_t i, DecodedPage& page) {
  page.resize((manifest_.pages[i].bytes + sizeof(Line) - 1) / sizeof(Line));
  const auto out = std::as_writable_bytes(std::span(page)).first(manifest_.pages[i].bytes);
  const ByteView stored = file_->bytes().subspan(offsets_[i], sizes_[i]);
  if (const auto decoded = coder_->decode(stored, out); !decoded) {
    return damaged("page " + std::to_string(i) + " of " + digest_.short_hex() +
                       " does not decode: " + decoded.error().what,
                   offsets_[i]);
  }
  TRY_VOID(check_hash(i, out));
  file_->forget(offsets_[i], sizes_[i]);
  return {};
}

Result<ByteView> ArtifactFile::decode_to_read(std::size_t i) {
  if (!decoded_[i].empty()) return view_of(decoded_[i], i);
  if (last_index_ != i) {
    last_index_.reset();
    TRY_VOID(decode(i, last_read_));
    last_index_ = i;
  }
  return view_of(last_read_, i);
}

Result<ByteView> ArtifactFile::page(PageIndex index) {
  const std::size_t i = index.value();
  TRY_VOID(check_index(i));
  if (coding_ == PageCoding::kPlain) {
    const ByteView bytes = file_->bytes().subspan(offsets_[i], manifest_.pages[i].bytes);
    TRY_VOID(check_hash(i, bytes));
    return bytes;
  }
  if (decoded_[i].empty()) {
    DecodedPage page;
    TRY_VOID(decode(i, page));
    decoded_[i] = std::move(page);
  }
  return view_of(decoded_[i], i);
}

Result<void> ArtifactFile::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
  if (coding_ == PageCoding::kCoded) {
    TRY_VOID(check_index(index.value()));
    TRY(const ByteView bytes, decode_to_read(index.value()));
    return copy_from_page(bytes, index, offset, out);
  }
  TRY(const ByteView bytes, page(index));
  const auto copied = copy_from_page(bytes, index, offset, out);
  file_->forget(offsets_[index.value()], bytes.size());
  return copied;
}

// One line that says which file, a bit for each page, and the digest of both.
Buffer ArtifactFile::verified_pages() const {
  const std::string identity = file_->identity();
  if (identity.empty()) return {};
  const std::string head = record_head(digest_, identity);
  Buffer record = to_buffer(as_bytes(head));
  record.resize(head.size() + (verified_.size() + 7) / 8);
  for (std::size_t i = 0; i < verified_.size(); ++i) {
    if (verified_[i]) record[head.size() + i / 8] |= std::byte{1} << (i % 8);
  }
  append(record, sha256(record).bytes);
  return record;
}

bool ArtifactFile::take_verified(ByteView record) {
  const std::string identity = file_->identity();
  const std::string head = record_head(digest_, identity);
  const std::size_t size = head.size() + (verified_.size() + 7) / 8;
  if (identity.empty() || record.size() != size + sizeof(Digest::bytes)) return false;
  const ByteView told = record.first(size);
  if (!as_text(told).starts_with(head)) return false;
  if (!std::ranges::equal(sha256(told).bytes, record.subspan(size))) return false;
  for (std::size_t i = 0; i < verified_.size(); ++i) {
    const std::byte bit = std::byte{1} << (i % 8);
    if ((told[head.size() + i / 8] & bit) != std::byte{0}) verified_[i] = true;
  }
  return true;
}

Result<void> ArtifactFile::verify_signature(const PublicKey& trusted) const {
  auto verdict = skein::verify_signature(signed_, trusted);
  if (!verdict) verdict.error().where = file_name_;
  return verdict;
}

Result<void> ArtifactFile::verify_all() {
  const ByteView all = file_->bytes();
  std::uint64_t end = front_bytes();
  for (std::uint32_t i = 0; i < manifest_.pages.size(); ++i) {
    for (std::uint64_t at = end; at < offsets_[i]; ++at) {
      if (all[at] != std::byte{0}) return damaged("the padding between pages is not zero", at);
    }
    if (coding_ == PageCoding::kCoded) {
      TRY_VOID(decode_to_read(i));
    } else {
      TRY_VOID(page(PageIndex(i)));
    }
    end = offsets_[i] + sizes_[i];
  }
  return {};
}

Result<std::unique_ptr<ArtifactFile>> open_artifact(Disk& disk, const std::string& path) {
  TRY(auto file, disk.map(path));
  return ArtifactFile::open(std::move(file), path);
}

}  // namespace skein
