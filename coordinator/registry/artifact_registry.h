// ArtifactRegistry: the artifacts that may be rolled out, whole and signed by this coordinator.
// Owned by the app; loop thread only. Pages and manifests lie in the ChunkStore; a row is written
// last, so what is listed is complete.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/artifact/chunk_store.h"
#include "common/artifact/page_source.h"
#include "common/env/env.h"
#include "coordinator/registry/authority.h"
#include "coordinator/registry/store.h"

namespace skein {

inline constexpr std::size_t kMaxArtifacts = 4096;

class CodedPages;

// A page on its way to a device: its bytes, or its coded form (common/coding).
struct PageToSend {
  std::shared_ptr<const Buffer> bytes;
  bool coded = false;
};

class ArtifactRegistry {
 public:
  struct Options {
    std::string inbox;  // folder for uploads on their way in; emptied at restore()
  };
  // All outlive it.
  ArtifactRegistry(Env env, Store& store, ChunkStore& chunks, const Authority& authority,
                   Options options);
  ~ArtifactRegistry();
  ArtifactRegistry(const ArtifactRegistry&) = delete;
  ArtifactRegistry& operator=(const ArtifactRegistry&) = delete;

  Task<Result<void>> restore();  // once, before anything else

  // A .skein file: every page is compared with its hash, a signature somebody made is checked, and
  // the manifest is signed with the coordinator's key. Importing twice is importing once.
  // Errc::kCorrupt, kRefused (signature), kOutOfRoom.
  Task<Result<ArtifactRow>> import_file(std::string path);
  Task<Result<ArtifactRow>> import_upload(std::string body);  // the file's bytes
  // Pages made here: what a federated round publishes.
  Task<Result<ArtifactRow>> import_pages(std::shared_ptr<PageSource> pages);

  const std::map<Digest, ArtifactRow>& artifacts() const { return rows_; }
  const ArtifactRow* find(const Digest& artifact) const;  // or nullptr
  // Errc::kNotFound when it is not registered.
  Task<Result<Manifest>> manifest(Digest artifact);
  Task<Result<Buffer>> signed_manifest_blob(Digest artifact);  // encode_signed_manifest's bytes
  // A page of any registered artifact; kNotFound otherwise, or when it was lost on disk.
  Task<Result<Buffer>> page(Digest page);
  // The same, coded where that is smaller; coded once and kept while there is room.
  Task<Result<PageToSend>> coded_page(Digest page);
  const CodedPages& coded_pages() const { return *coded_; }
  // Shared while anybody holds it. Errc::kNotFound.
  Task<Result<std::shared_ptr<PageSource>>> open(Digest artifact);

 private:
  Task<Result<ArtifactRow>> import_from(PageSource& pages);
  Result<ArtifactRow> row_for(const Manifest& manifest, const Digest& digest) const;
  void remember(const ArtifactRow& row, const Manifest& manifest);
  Result<void> require(const Digest& artifact) const;

  Env env_;
  Store& store_;
  ChunkStore& chunks_;
  const Authority& authority_;
  Options options_;
  std::map<Digest, ArtifactRow> rows_;
  std::unordered_map<Digest, std::vector<PageSegment>> pages_;  // of the registered artifacts
  std::unique_ptr<CodedPages> coded_;
  std::unordered_map<Digest, std::weak_ptr<PageSource>> open_;
  std::uint64_t next_upload_ = 0;
};

}  // namespace skein
