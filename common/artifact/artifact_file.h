// The .skein file: header, signature, manifest and pages in one file (schemas/README.md). Written
// whole or not at all; read in place. Loop thread for writing; an ArtifactFile is its owner's, one
// thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/artifact/manifest.h"
#include "common/artifact/page_source.h"
#include "common/env/disk.h"

namespace skein {

// How pages stand in the file: as they are used, or coded (common/coding); or coded except matrices
// of which a pager reads rows: the neuron-major ones, the embedding, a head that has a screen. The
// artifact is the same.
enum class PageCoding : unsigned char { kPlain, kCoded, kCodedButRows };

// Writes a temporary beside `path`, syncs it, renames it: after a crash there is the old file or
// the new one. Every page is compared with its hash before it is written. The manifest's digest.
Task<Result<Digest>> write_artifact(Disk& disk, std::string path, PageSource& source,
                                    std::optional<SigningKey> key,
                                    PageCoding coding = PageCoding::kPlain);
// The same, keeping a signature made elsewhere; Errc::kUsage when `manifest` is not the source's.
Task<Result<Digest>> write_signed_artifact(Disk& disk, std::string path, PageSource& source,
                                           SignedManifest manifest,
                                           PageCoding coding = PageCoding::kPlain);

// How large that file is, with plain pages.
std::uint64_t plain_file_bytes(const SignedManifest& manifest, const Manifest& decoded);

// Whether the first bytes say ".skein"; checks nothing else.
bool is_artifact(ByteView file);

class ArtifactFile final : public PageSource {
 public:
  // Checks header and lengths against the file's size, then the manifest, before any page is
  // looked at. `file_name` is for messages. Errc::kCorrupt / kUnsupported.
  static Result<std::unique_ptr<ArtifactFile>> open(std::unique_ptr<MappedFile> file,
                                                    std::string file_name);

  const Manifest& manifest() const override { return manifest_; }
  // Hashed at first use only. A coded page is decoded then and kept. Errc::kNotFound for an index
  // beyond the last page.
  Result<ByteView> page(PageIndex index) override;
  // Keeps one decoded page, the last that was read.
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override;

  // Which pages were verified, for the next process that opens the same file; README.md says what
  // that is worth. Empty when the file cannot be told from a changed one.
  Buffer verified_pages() const;
  // Takes such a record over if it is of this file as it is now; else false, and nothing changes.
  bool take_verified(ByteView record);

  const SignedManifest& signed_manifest() const { return signed_; }
  const Digest& digest() const { return digest_; }
  // Where each page begins in the file; the last number is where the file ends.
  const std::vector<std::uint64_t>& page_offsets() const { return offsets_; }
  // Errc::kRefused with the file's name.
  Result<void> verify_signature(const PublicKey& trusted) const;
  // Every page, and the padding between them. The first thing that is wrong.
  Result<void> verify_all();

  // kCoded for one whose rows are not, too.
  PageCoding coding() const { return coding_; }
  // Bytes that a page takes in the file.
  std::uint32_t stored_size(PageIndex index) const { return sizes_.at(index.value()); }

 private:
  ArtifactFile(std::unique_ptr<MappedFile> file, std::string file_name);
  struct Line {
    alignas(64) std::byte bytes[64];
  };
  using DecodedPage = std::vector<Line>;

  Result<void> read_front();
  std::uint64_t front_bytes() const;  // before the first page, without padding
  tl::unexpected<Error> damaged(std::string what, std::uint64_t offset) const;
  Result<void> check_index(std::size_t i) const;
  Result<void> check_hash(std::size_t i, ByteView bytes);
  ByteView view_of(const DecodedPage& page, std::size_t i) const;
  Result<void> decode(std::size_t i, DecodedPage& page);
  Result<ByteView> decode_to_read(std::size_t i);

  std::unique_ptr<MappedFile> file_;
  std::string file_name_;
  SignedManifest signed_;
  Digest digest_;
  Manifest manifest_;
  PageCoding coding_ = PageCoding::kPlain;
  std::vector<std::uint32_t> sizes_;    // of each page in the file
  std::vector<std::uint64_t> offsets_;  // likewise
  std::vector<bool> verified_;
  std::optional<PageCoder> coder_;  // of a coded file, as what follows
  std::vector<DecodedPage> decoded_;
  DecodedPage last_read_;
  std::optional<std::size_t> last_index_;
};

// Maps and opens. Errc::kNotFound when there is no such file.
Result<std::unique_ptr<ArtifactFile>> open_artifact(Disk& disk, const std::string& path);

}  // namespace skein
