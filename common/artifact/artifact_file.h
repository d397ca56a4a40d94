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

// Writes a temporary beside `path`, syncs it, renames it: after a crash there is the old file or
// the new one. Every page is compared with its hash before it is written. The manifest's digest.
Task<Result<Digest>> write_artifact(Disk& disk, std::string path, PageSource& source,
                                    std::optional<SigningKey> key);
// The same, keeping a signature made elsewhere; Errc::kUsage when `manifest` is not the source's.
Task<Result<Digest>> write_signed_artifact(Disk& disk, std::string path, PageSource& source,
                                           SignedManifest manifest);

// Whether the first bytes say ".skein"; checks nothing else.
bool is_artifact(ByteView file);

class ArtifactFile final : public PageSource {
 public:
  // Checks header and lengths against the file's size, then the manifest, before any page is
  // looked at. `file_name` is for messages. Errc::kCorrupt / kUnsupported.
  static Result<std::unique_ptr<ArtifactFile>> open(std::unique_ptr<MappedFile> file,
                                                    std::string file_name);

  const Manifest& manifest() const override { return manifest_; }
  // Hashed at first use only. Errc::kNotFound for an index beyond the last page.
  Result<ByteView> page(PageIndex index) override;
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override;

  // Which pages were verified, for the next process that opens the same file; README.md says what
  // that is worth. Empty when the file cannot be told from a changed one.
  Buffer verified_pages() const;
  // Takes such a record over if it is of this file as it is now; else false, and nothing changes.
  bool take_verified(ByteView record);

  const SignedManifest& signed_manifest() const { return signed_; }
  const Digest& digest() const { return digest_; }
  // Errc::kRefused with the file's name.
  Result<void> verify_signature(const PublicKey& trusted) const;
  // Every page, and the padding between them. The first thing that is wrong.
  Result<void> verify_all();

 private:
  ArtifactFile(std::unique_ptr<MappedFile> file, std::string file_name);
  Result<void> read_front();
  tl::unexpected<Error> damaged(std::string what, std::uint64_t offset) const;

  std::unique_ptr<MappedFile> file_;
  std::string file_name_;
  SignedManifest signed_;
  Digest digest_;
  Manifest manifest_;
  std::vector<std::uint64_t> offsets_;  // of each page in the file
  std::vector<bool> verified_;
};

// Maps and opens. Errc::kNotFound when there is no such file.
Result<std::unique_ptr<ArtifactFile>> open_artifact(Disk& disk, const std::string& path);

}  // namespace skein
