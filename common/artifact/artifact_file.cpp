#include "common/artifact/artifact_file.h"

#include <algorithm>

#include "common/artifact/internal/layout.h"
#include "common/artifact/internal/new_file.h"
#include "common/crypto/sha256.h"

namespace skein {

using namespace internal;

namespace {

Task<Result<void>> append_pages(NewFile& file, PageSource& source, const Digest& digest,
                                const std::vector<std::uint64_t>& offsets, std::uint64_t at) {
  const std::vector<PageEntry>& pages = source.manifest().pages;
  for (std::uint32_t i = 0; i < pages.size(); ++i) {
    CO_TRY(const ByteView bytes, source.page(PageIndex(i)));
    if (bytes.size() != pages[i].bytes || sha256(bytes) != pages[i].digest) {
      co_return damaged_page(i, digest, "the artifact to be written");
    }
    const Buffer padding(offsets[i] - at);
    if (!padding.empty()) CO_TRY_VOID(co_await file.append(padding));
    CO_TRY_VOID(co_await file.append(bytes));
    at = offsets[i] + bytes.size();
  }
  co_return Result<void>{};
}

Task<Result<void>> append_all(NewFile& file, PageSource& source, const SignedManifest& manifest) {
  const auto offsets = page_offsets(source.manifest(), manifest.bytes.size());
  Buffer front = encode_header({.pages = static_cast<std::uint32_t>(offsets.size() - 1),
                                .manifest_bytes = manifest.bytes.size(),
                                .file_bytes = offsets.back(),
                                .signer = manifest.signer,
                                .signature = manifest.signature});
  append(front, manifest.bytes);
  CO_TRY_VOID(co_await file.append(front));
  const Digest digest = manifest.digest();
  CO_TRY_VOID(co_await append_pages(file, source, digest, offsets, front.size()));
  co_return co_await file.commit();
}

std::string record_head(const Digest& digest, const std::string& identity) {
  return "skein-verified 1 " + digest.hex() + " " + identity + "\n";
}

}  // namespace

Task<Result<Digest>> write_artifact(Disk& disk, std::string path, PageSource& source,
                                    std::optional<SigningKey> key) {
  SignedManifest manifest = sign_manifest(source.manifest(), key);
  co_return co_await write_signed_artifact(disk, std::move(path), source, std::move(manifest));
}

Task<Result<Digest>> write_signed_artifact(Disk& disk, std::string path, PageSource& source,
                                           SignedManifest manifest) {
  // Read back before it is written: nothing leaves here that `open` would refuse.
  CO_TRY(const Manifest decoded, decode_manifest(manifest.bytes));
  if (decoded != source.manifest()) {
    co_return fail(Errc::kUsage, "the signed manifest is not that of the pages", path);
  }
  NewFile file(disk, path, path + std::string(kTemporarySuffix));
  if (const auto written = co_await append_all(file, source, manifest); !written) {
    co_await file.discard();
    co_return tl::unexpected<Error>(written.error());
  }
  CO_TRY_VOID(co_await disk.sync_directory(parent_path(path)));
  co_return manifest.digest();
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
  offsets_ = page_offsets(manifest_, signed_.bytes.size());
  if (header.pages != manifest_.pages.size()) {
    return damaged("the header counts " + std::to_string(header.pages) + " pages, the manifest " +
                       std::to_string(manifest_.pages.size()),
                   12);
  }
  if (offsets_.back() != all.size()) {
    return damaged("the manifest's pages end at byte " + std::to_string(offsets_.back()) +
                       ", the file at " + std::to_string(all.size()),
                   all.size());
  }
  verified_.assign(manifest_.pages.size(), false);
  return {};
}

tl::unexpected<Error> ArtifactFile::damaged(std::string what, std::uint64_t offset) const {
  return fail(Errc::kCorrupt, std::move(what), file_name_ + ", offset " + std::to_string(offset),
              "fetch the artifact again");
}

Result<ByteView> ArtifactFile::page(PageIndex index) {
  const std::size_t i = index.value();
  if (i >= manifest_.pages.size()) {
    return fail(Errc::kNotFound,
                "there is no page " + std::to_string(i) + " among " +
                    std::to_string(manifest_.pages.size()),
                file_name_);
  }
  const ByteView bytes = file_->bytes().subspan(offsets_[i], manifest_.pages[i].bytes);
  if (!verified_[i]) {
    if (sha256(bytes) != manifest_.pages[i].digest) {
      return damaged_page(i, digest_, file_name_ + ", offset " + std::to_string(offsets_[i]));
    }
    verified_[i] = true;
  }
  return bytes;
}

Result<void> ArtifactFile::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
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
  std::uint64_t end = kArtifactHeaderBytes + signed_.bytes.size();
  for (std::uint32_t i = 0; i < manifest_.pages.size(); ++i) {
    for (std::uint64_t at = end; at < offsets_[i]; ++at) {
      if (all[at] != std::byte{0}) return damaged("the padding between pages is not zero", at);
    }
    TRY_VOID(page(PageIndex(i)));
    end = offsets_[i] + manifest_.pages[i].bytes;
  }
  return {};
}

Result<std::unique_ptr<ArtifactFile>> open_artifact(Disk& disk, const std::string& path) {
  TRY(auto file, disk.map(path));
  return ArtifactFile::open(std::move(file), path);
}

}  // namespace skein
