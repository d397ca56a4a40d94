#include "edge_node/paging/slot_file.h"

#include <algorithm>

#include "common/artifact/artifact_file.h"
#include "common/artifact/slots.h"
#include "common/crypto/sha256.h"

namespace skein {

namespace {

constexpr std::string_view kSuffix = ".skein";

// The file's front, if it is that artifact's and as long as it must be.
Result<std::unique_ptr<ArtifactFile>> open_file(Disk& disk, const std::string& path,
                                                const Digest& artifact) {
  TRY(auto file, open_artifact(disk, path));
  if (file->digest() == artifact) return file;
  return fail(Errc::kCorrupt, "it is not the file of " + artifact.short_hex(), path,
              "lay it out anew");
}

}  // namespace

SlotFiles::SlotFiles(ChunkStore& store, std::string folder)
    : store_(store), folder_(std::move(folder)) {}

std::string SlotFiles::path_of(const Digest& artifact) const {
  return join_path(folder_, artifact.hex() + std::string(kSuffix));
}

Task<Result<std::string>> SlotFiles::lay_out(Digest artifact) {
  const std::string path = path_of(artifact);
  if (open_file(store_.disk(), path, artifact)) co_return path;
  CO_TRY_VOID(co_await store_.disk().make_directories(folder_));
  CO_TRY(const auto pages, co_await SlotPages::open(store_, artifact));
  SignedManifest manifest = pages->signed_manifest();
  CO_TRY_VOID(co_await make_room(artifact, plain_file_bytes(manifest, pages->manifest())));
  const auto written = co_await write_signed_artifact(store_.disk(), path, *pages,
                                                      std::move(manifest), PageCoding::kPlain);
  for (const Digest& page : pages->damaged()) {
    CO_TRY_VOID(co_await store_.remove(page));
  }
  if (!written) co_return tl::unexpected<Error>(written.error());
  co_return path;
}

// What there is under the artifact's name is damaged, or a crash left it unfinished.
Task<Result<void>> SlotFiles::make_room(Digest artifact, std::uint64_t bytes) {
  Disk& disk = store_.disk();
  CO_TRY(const auto names, co_await disk.list(folder_));
  for (const std::string& name : names) {
    if (!name.starts_with(artifact.hex())) continue;
    CO_TRY_VOID(co_await disk.remove(join_path(folder_, name)));
  }
  CO_TRY(const std::uint64_t free, disk.free_bytes(folder_));
  const std::uint64_t needed = bytes + kSlotFileReserve;
  if (free >= needed) co_return Result<void>{};
  co_return fail(Errc::kOutOfRoom,
                 "the disk has " + std::to_string(needed - free) + " bytes too few to lay out " +
                     artifact.short_hex() + " in one file of " + std::to_string(bytes),
                 folder_, "free some space, or run without a memory budget");
}

Task<Result<void>> SlotFiles::mend(Digest artifact, PageIndex page, ByteView bytes) {
  const std::string path = path_of(artifact);
  std::uint64_t offset = 0;
  {
    CO_TRY(const auto file, open_file(store_.disk(), path, artifact));
    const auto& pages = file->manifest().pages;
    if (page.value() >= pages.size() || sha256(bytes) != pages[page.value()].digest) {
      co_return fail(Errc::kCorrupt, "the bytes are not page " + std::to_string(page.value()),
                     path);
    }
    offset = file->page_offsets()[page.value()];
  }
  CO_TRY(const auto file, co_await store_.disk().open(path, OpenMode::kReadWrite));
  CO_TRY_VOID(co_await file->write_at(offset, bytes));
  co_return co_await file->sync();
}

Task<void> SlotFiles::remove(Digest artifact) {
  std::string path = path_of(artifact);
  (void)co_await store_.disk().remove(std::move(path));
}

Task<Result<void>> SlotFiles::keep_only(std::vector<Digest> artifacts) {
  const auto names = co_await store_.disk().list(folder_);
  if (!names && names.error().code == Errc::kNotFound) co_return Result<void>{};
  if (!names) co_return tl::unexpected<Error>(names.error());
  for (const std::string& name : *names) {
    const bool kept = std::ranges::any_of(artifacts, [&](const Digest& artifact) {
      return name == artifact.hex() + std::string(kSuffix);
    });
    if (kept) continue;
    CO_TRY_VOID(co_await store_.disk().remove(join_path(folder_, name)));
  }
  co_return Result<void>{};
}

}  // namespace skein
